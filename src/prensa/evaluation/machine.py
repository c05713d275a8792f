"""What an evaluation ran on: processor and its instruction sets, accelerator, memory, versions.

int8 arithmetic can be right on one processor and wrong on another, and fast on one and slow on another; a
number without its machine says little.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from prensa.evaluation.results import Machine
from prensa.runtime.processor import cpu_facts, cpu_flags

_PACKAGES = (
    *("prensa", "torch", "transformers", "tokenizers", "safetensors", "bitsandbytes"),
    *("numpy", "scipy", "scikit-learn"),
)
_INSTRUCTION_SETS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)


def this_machine(device: str = "cpu") -> Machine:
    """Describe the machine that this process runs on; ``device`` is PyTorch's name of what computes."""
    facts, flags = cpu_facts(), cpu_flags()
    return Machine(
        processor=_processor(facts),
        instruction_sets=tuple(name for name in _INSTRUCTION_SETS if name in flags),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        accelerator=_accelerator(device),
        versions=installed_versions(_PACKAGES),
    )


def installed_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor(facts: dict[str, str]) -> str:
    if "model name" in facts:
        family, model = facts.get("cpu family", "?"), facts.get("model", "?")
        return f"{facts['model name']}, family {family}, model {model}"
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return platform.processor() or platform.machine()


def _accelerator(device: str) -> str:
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return "" if device == "cpu" else device
