"""What starting costs: whole processes, in turns, each many times.

``prensa --help`` beside a Python that does nothing, and ``import prensa`` after ``import transformers``
beside ``import transformers`` alone. Then to the first answer: ``prensa.load`` in a program, and
``prensa serve`` as a whole process, of an export and of the same model in PyTorch.
``python -m benchmarks.startup [EXPORT] [--starts N]``; without an export one is made first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import prensa
from benchmarks.evaluation import MODEL
from benchmarks.record import SHARED, save, spread
from benchmarks.server import starts

REPEATS = 15

PRENSA = str(Path(sys.executable).parent / "prensa")
PROCESSES = {
    "python": [sys.executable, "-c", ""],
    "prensa --help": [PRENSA, "--help"],
    "import prensa": [sys.executable, "-c", "import prensa"],
    "import transformers": [sys.executable, "-c", "import transformers"],
    "import transformers, prensa": [sys.executable, "-c", "import transformers, prensa"],
}

ANSWER = "import sys, prensa; next(prensa.load(sys.argv[1], runtime=sys.argv[2]).predict(['a text']))"
TEXT = "You are a wonderful person."


def main() -> None:
    """Time every process in turns, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        export = arguments.export
        if export is None:
            export = Path(place) / "export"
            train = SHARED / "data" / "toxic-comments" / "train.csv"
            prensa.export(MODEL, export, to="openvino", precision="int8", texts=train)
        answers = {
            "prensa.load": loads(export, arguments.starts),
            "prensa serve": starts(export, TEXT, arguments.starts),
        }
    save("startup", {**imports(), "to the first answer of toxic-deberta": answers})


def loads(export: Path, repeats: int) -> dict[str, Any]:
    """Time programs from their start to the first answer."""
    commands = {
        "export": [sys.executable, "-c", ANSWER, str(export), "auto"],
        "PyTorch": [sys.executable, "-c", ANSWER, str(MODEL), "torch"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(repeats + 1):
        for name, command in commands.items():
            took = _time(command)
            # The first one fills the page cache and the compiler's.
            if number:
                seconds[name].append(took)
    ratio = median(seconds["PyTorch"]) / median(seconds["export"])
    return {name: spread(own) for name, own in seconds.items()} | {"times_as_fast": round(ratio, 2)}


def imports() -> dict[str, Any]:
    """Time what imports nothing but Prensa itself."""
    seconds: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for command in PROCESSES.values():
        _time(command)  # files are in the page cache now
    for _ in range(REPEATS):
        for name, command in PROCESSES.items():
            seconds[name].append(_time(command))
    both, alone = seconds["import transformers, prensa"], seconds["import transformers"]
    beyond = [one - other for one, other in zip(both, alone, strict=True)]
    return {
        **{name: spread(times) for name, times in seconds.items()},
        "import prensa beyond import transformers": {
            "median": round(median(beyond), 4),
            "of_minima": round(min(both) - min(alone), 4),
        },
    }


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
