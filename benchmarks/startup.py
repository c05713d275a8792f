"""What starting costs: whole processes, in turns, each many times.

``prensa --help`` beside a Python that does nothing, and ``import prensa`` after ``import transformers``
beside ``import transformers`` alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.record import save, spread

REPEATS = 15

PRENSA = str(Path(sys.executable).parent / "prensa")
PROCESSES = {
    "python": [sys.executable, "-c", ""],
    "prensa --help": [PRENSA, "--help"],
    "import prensa": [sys.executable, "-c", "import prensa"],
    "import transformers": [sys.executable, "-c", "import transformers"],
    "import transformers, prensa": [sys.executable, "-c", "import transformers, prensa"],
}


def main() -> None:
    """Time every process in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for command in PROCESSES.values():
        _time(command)  # files are in the page cache now
    for _ in range(REPEATS):
        for name, command in PROCESSES.items():
            seconds[name].append(_time(command))
    both, alone = seconds["import transformers, prensa"], seconds["import transformers"]
    beyond = [one - other for one, other in zip(both, alone, strict=True)]
    save(
        "startup",
        {
            **{name: spread(times) for name, times in seconds.items()},
            "import prensa beyond import transformers": {
                "median": round(median(beyond), 4),
                "of_minima": round(min(both) - min(alone), 4),
            },
        },
    )


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
