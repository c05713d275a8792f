"""From the start of a process to its first right answer: an export beside the same model in PyTorch.

``prensa.load`` in a program, and ``prensa serve`` as a whole process, in turns. Seconds of the processor
stand beside those of the clock: other jobs on the same machine change them less.
``python -m benchmarks.cold_start [EXPORT] [--starts N] [--note TEXT]``; without an export one is made first.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evaluation import MODEL
from benchmarks.exported import exported
from benchmarks.record import save, spread
from benchmarks.server import PATIENCE, first_answer, free_port, read_by, serve_command

ANSWER = "import sys, prensa; next(prensa.load(sys.argv[1], runtime=sys.argv[2]).predict([sys.argv[3]]))"
TEXT = "You are a wonderful person."


def main() -> None:
    """Time both, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    with exported(arguments.export) as export:
        result = {
            "model": "toxic-deberta",
            "note": arguments.note,
            "prensa.load": loads(export, arguments.starts),
            "prensa serve": serves(export, arguments.starts),
        }
    save("cold_start", result)


class Times:
    """What each of two ways took, in turns; the first turn fills the page cache and the compiler's."""

    def __init__(self, names: Sequence[str]) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self.of_processor: dict[str, list[float]] = {name: [] for name in names}

    def add(self, name: str, seconds: float, of_processor: float) -> None:
        """Add a turn."""
        self.seconds[name].append(seconds)
        self.of_processor[name].append(of_processor)

    def summary(self) -> dict[str, Any]:
        """Return both, without the first turn, and how many times as fast the first one is."""
        found: dict[str, Any] = {}
        for name, own in self.seconds.items():
            found[name] = {**spread(own[1:]), "processor": spread(self.of_processor[name][1:])}
        export, pytorch = found.values()
        found["times_as_fast"] = round(pytorch["median"] / export["median"], 2)
        of_processor = pytorch["processor"]["median"] / export["processor"]["median"]
        found["times_as_fast_by_processor"] = round(of_processor, 2)
        return found


def loads(export: Path, repeats: int) -> dict[str, Any]:
    """Time programs that load a model and answer one text."""
    commands = {
        "export": [sys.executable, "-c", ANSWER, str(export), "auto", TEXT],
        "PyTorch": [sys.executable, "-c", ANSWER, str(MODEL), "torch", TEXT],
    }
    times = Times(list(commands))
    for _ in range(repeats + 1):
        for name, command in commands.items():
            before = os.times()
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds = time.perf_counter() - start
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            times.add(name, seconds, used)
    return times.summary()


def serves(export: Path, repeats: int) -> dict[str, Any]:
    """Time servers from their start to the first answer, with the bytes that they read."""
    commands = {"export": serve_command(export), "PyTorch": serve_command(MODEL, "--runtime", "torch")}
    times = Times(list(commands))
    nbytes: dict[str, int] = {}
    for _ in range(repeats + 1):
        for name, command in commands.items():
            port = free_port()
            start = time.perf_counter()
            process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL)
            first_answer(port, TEXT)
            times.add(name, time.perf_counter() - start, processor_seconds(process.pid))
            nbytes[name] = read_by(process.pid)
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    return {**times.summary(), "bytes_read": nbytes}


def processor_seconds(pid: int) -> float:
    """Return how long a process has kept processors busy."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    # User and system time, the 14th and 15th field.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
