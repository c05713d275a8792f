"""What this machine's processor does in hardware, and how many cores it has."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch

MULTIPLIES_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
_DOES_NOT_SATURATE = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


@cache
def cpu_facts() -> dict[str, str]:
    """Read the facts of the first processor that Linux lists; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def cpu_flags() -> list[str]:
    """List the processor's instruction sets, as Linux names them."""
    facts = cpu_facts()
    return f"{facts.get('flags', '')} {facts.get('Features', '')}".split()


def has(any_of: tuple[str, ...]) -> bool:
    """Whether the processor has one of these instruction sets."""
    return not set(any_of).isdisjoint(cpu_flags())


def saturates() -> bool:
    """Whether sums of products of 8-bit integers may overflow: on x86 without VNNI, in 16 bits."""
    return "avx2" in cpu_flags() and not has(_DOES_NOT_SATURATE)


def physical_cores() -> int:
    """Count the cores that this process may use, hyperthreads once: arithmetic shares their units."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, torch.get_num_threads()))
