"""Where and with what a benchmark ran, and its result as JSON beside the code."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from prensa.evaluation.machine import installed_versions, this_machine

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("PRENSA_SHARED", ROOT.parent / "shared"))

_PACKAGES = ("zstandard", "scikit-learn", "scipy", "vl-convert-python", "bitsandbytes")


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write ``results/NAME.json`` and show it."""
    machine = dataclasses.asdict(this_machine())
    versions = machine.pop("versions") | installed_versions(_PACKAGES)
    content = {"machine": machine, "versions": versions, "commit": _commit(), **result}
    text = json.dumps(content, indent=1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def known(name: str, part: str = "results") -> dict[str, Any]:
    """Return what ``results/NAME.json`` holds already, for results that take their place among others."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[part]
    return found


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Sum up repeated timings."""
    return {
        "repeats": len(seconds),
        "minimum": round(min(seconds), 4),
        "median": round(median(seconds), 4),
        "maximum": round(max(seconds), 4),
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
