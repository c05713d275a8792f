"""Where and with what a benchmark ran, and its result as JSON beside the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("PRENSA_SHARED", ROOT.parent / "shared"))

_PACKAGES = ("prensa", "torch", "transformers", "safetensors", "zstandard", "numpy")


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write ``results/NAME.json`` and show it."""
    content = {"machine": _machine(), "versions": _versions(), "commit": _commit(), **result}
    text = json.dumps(content, indent=1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Sum up repeated timings."""
    return {
        "repeats": len(seconds),
        "minimum": round(min(seconds), 4),
        "median": round(median(seconds), 4),
        "maximum": round(max(seconds), 4),
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return "{model name}, family {cpu family}, model {model}".format_map(defaultdict(lambda: "?", facts))


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
