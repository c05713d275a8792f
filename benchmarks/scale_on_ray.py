"""``prensa predict`` by workers of Ray beside the same in one process: texts a second, and seconds to start.

The shared comments lie in a Parquet file; the model is ``toxic-deberta`` in its fastest runtime. One process
with all cores, one worker with all of them, and as many workers as cores with one each take turns, each in a
process of its own: what the machine does meanwhile meets all of them. Start-up (Ray, workers,
the model) is apart.
``python -m benchmarks.scale_on_ray [EXPORT] [--comments N] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import prensa
from benchmarks.exported import exported
from benchmarks.record import save
from benchmarks.scale import comments
from prensa.runtime.processor import physical_cores

CHILD = "answer"
PROCESS = "one process"


def ways() -> dict[str, dict[str, str | int]]:
    """Return what is compared, as parameters of :func:`prensa.predict`."""
    cores = physical_cores()
    return {
        PROCESS: {},
        "one worker": {"on": "ray", "workers": 1, "worker_cpus": cores},
        "a worker for each core": {"on": "ray", "workers": cores, "worker_cpus": 1},
    }


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--comments", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with exported(arguments.export) as export, tempfile.TemporaryDirectory() as name:
        file = Path(name) / "comments.parquet"
        write(comments(arguments.comments), file)
        found = measured(export, file, arguments.rounds)
    rates = {}
    for way, runs in found.items():
        rates[way] = median(one["texts_a_second"] for one in runs)
    result = {
        "model": "toxic-deberta",
        "comments": arguments.comments,
        "cores": physical_cores(),
        "runs": found,
        "rate_of_one_process": {way: round(rate / rates[PROCESS], 3) for way, rate in rates.items()},
    }
    save("scale_on_ray", result)


def write(texts: list[str], file: Path) -> None:
    """Write texts as a column of Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": texts}), file)


def measured(export: Path, file: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Let all ways answer the file in turns. Return what each took each time; answers must be the same."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways()}
    expected = b""
    for _ in range(rounds):
        for way in ways():
            output = file.with_name("answers.parquet")
            output.unlink(missing_ok=True)
            places = map(str, (export, file, output))
            command = [sys.executable, "-m", "benchmarks.scale_on_ray", CHILD, way, *places]
            ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[way].append(json.loads(ended.stdout.splitlines()[-1]))
            print(way, found[way][-1], flush=True)
            content = output.read_bytes()
            expected = expected or content
            assert content == expected, f"{way}: other answers"
    return found


def answer(settings: Mapping[str, str | int], export: Path, file: Path, output: Path) -> None:
    """Do what a process does, and print what it took."""
    start = time.perf_counter()
    done = prensa.predict(export, output, data=file, **settings)  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "texts_a_second": round(done.texts_a_second, 2),
                "seconds_to_start": round(seconds - done.seconds, 2),
            }
        )
    )


if __name__ == "__main__":
    # Threads of tokenizers would be more than there are cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.argv[1:2] == [CHILD]:
        answer(ways()[sys.argv[2]], *map(Path, sys.argv[3:6]))
    else:
        main()
