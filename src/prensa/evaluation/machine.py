"""What an evaluation ran on: processor and its instruction sets, accelerator, memory, versions.

int8 arithmetic can be right on one processor and wrong on another, and fast on one and slow on another; a
number without its machine says little.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import torch

from prensa.evaluation.results import Machine
from prensa.runtime.processor import cpu_flags, memory_bytes, processor_name

_PACKAGES = (
    "prensa",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "bitsandbytes",
    "numpy",
    "scipy",
    "scikit-learn",
)
_INSTRUCTION_SETS = (
    # Of x86: vectors, products of 8-bit integers, and matrices.
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    # The same of Arm.
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "sme",
)


def this_machine(device: str = "cpu") -> Machine:
    """Describe the machine that this process runs on; ``device`` is PyTorch's name of what computes."""
    flags = cpu_flags()
    instruction_sets = [name for name in _INSTRUCTION_SETS if name in flags]
    return Machine(
        processor=processor_name(),
        instruction_sets=tuple(instruction_sets),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=memory_bytes(),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        accelerator=_accelerator(device),
        versions=installed_versions(_PACKAGES),
    )


def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _accelerator(device: str) -> str:
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    if device == "cpu":
        return ""
    return device
