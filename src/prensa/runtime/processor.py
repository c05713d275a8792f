"""What this machine's processor does in hardware, how many cores it has, and how much memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

MULTIPLIES_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
_DOES_NOT_SATURATE = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux says how much memory a container may use, in the two versions of control groups."""


@cache
def cpu_facts() -> dict[str, str]:
    """Read the facts of the first processor that Linux lists; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    # An empty line separates processors.
    first = text.split("\n\n")[0]
    facts = {}
    for line in first.splitlines():
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    return facts


def cpu_flags() -> list[str]:
    """List the processor's instruction sets, as Linux names them."""
    facts = cpu_facts()
    # The first is the key on x86, the second on ARM.
    flags = facts.get("flags", "").split()
    features = facts.get("Features", "").split()
    return flags + features


def has(any_of: tuple[str, ...]) -> bool:
    """Whether the processor has one of these instruction sets."""
    return not set(any_of).isdisjoint(cpu_flags())


def saturates() -> bool:
    """Whether sums of products of 8-bit integers may overflow: on x86 without VNNI, in 16 bits."""
    return "avx2" in cpu_flags() and not has(_DOES_NOT_SATURATE)


def physical_cores() -> int:
    """Count the cores that this process may use, hyperthreads once: arithmetic shares their units."""
    if hasattr(os, "sched_getaffinity"):
        usable = os.sched_getaffinity(0)
    else:
        usable = set(range(os.cpu_count() or 1))
    cores = _without_hyperthreads(usable)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdigit():
        cores = min(cores, int(limit))
    # A program that has set PyTorch's threads means these, too; one that has not imported it has set none.
    torch = sys.modules.get("torch")
    if torch is not None:
        cores = min(cores, torch.get_num_threads())
    return max(1, cores)


def _without_hyperthreads(processors: set[int]) -> int:
    """Count the cores that processors are on, as Linux numbers them; elsewhere all processors."""
    cores = set()
    for number in processors:
        place = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        try:
            cores.add(place.read_text(encoding="ascii"))
        except OSError:
            cores.add(str(number))
    return len(cores)


def processor_name() -> str:
    """Return what the processor is called."""
    facts = cpu_facts()
    if "model name" in facts:
        # Cloud machines share a name over several generations; family and model differ.
        family = facts.get("cpu family", "?")
        model = facts.get("model", "?")
        return f"{facts['model name']}, family {family}, model {model}"
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return answer.stdout.strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Return the bytes of main memory, whatever of it is in use."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_limit() -> int:
    """Return the bytes of main memory that this process may use: a container may have less than there is."""
    most = memory_bytes()
    for file in _LIMITS:
        try:
            limit = file.read_text().strip()
        except OSError:
            continue
        # Without a limit it is a word in one version, and a number beyond every machine in the other.
        if limit.isdigit():
            most = min(most, int(limit))
    return most
