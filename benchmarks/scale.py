"""``prensa predict`` of many comments beside ``served.predict`` of the same ones: texts a second, and memory.

The shared comments are repeated in random order until there are as many as wanted, and lie in a Parquet file.
The model is ``toxic-deberta`` in its fastest runtime. A process of its own answers the file, another one a
small part of it, for peak memory; a third has the texts in memory and answers some of them before and after
that, as the machine may change meanwhile.
``python -m benchmarks.scale [EXPORT] [--comments N] [--few N] [--compared N]``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.exported import exported
from benchmarks.record import save
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.evaluation.memory import high_water_mark
from prensa.texts.columns import read_texts
from prensa.texts.source import Source

FILE = "file"
MEMORY = "memory"


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--comments", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--compared", type=int, default=10_000)
    arguments = parser.parse_args()
    with exported(arguments.export) as export, tempfile.TemporaryDirectory() as name:
        place = Path(name)
        texts = comments(arguments.comments)
        result = measured(export, texts, arguments.few, arguments.compared, place)
    save("scale", {"model": "toxic-deberta", **result})


def comments(count: int) -> list[str]:
    """Return so many comments: all of them in random order, and again."""
    task = task_of(load_config(MODEL))
    assert task is not None
    own = list(read_texts(Source(COMMENTS), task).texts)
    generator = random.Random(0)
    texts: list[str] = []
    while len(texts) < count:
        generator.shuffle(own)
        texts += own
    return texts[:count]


def measured(export: Path, texts: Sequence[str], few: int, compared: int, place: Path) -> dict[str, Any]:
    """Answer all texts, and a few, each in a process of its own."""
    files = {}
    for name, some in {"all": texts, "few": texts[:few], "compared": texts[:compared]}.items():
        files[name] = write_parquet(place / f"{name}.parquet", some)
    before = in_process(MEMORY, export, files["compared"], place)
    of_few = in_process(FILE, export, files["few"], place)
    of_all = in_process(FILE, export, files["all"], place)
    after = in_process(MEMORY, export, files["compared"], place)
    rate = (before["texts_a_second"] + after["texts_a_second"]) / 2
    return {
        "comments": len(texts),
        "predict": of_all,
        "predict_few": {"comments": min(few, len(texts)), **of_few},
        "in_memory": {"comments": min(compared, len(texts)), "before": before, "after": after},
        "rate_of_in_memory": round(of_all["texts_a_second"] / rate, 3),
        "peak_beyond_few_mb": round(of_all["peak_mb"] - of_few["peak_mb"], 1),
    }


def write_parquet(path: Path, texts: Sequence[str]) -> Path:
    """Write texts to a file with one column."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": texts}), path)
    return path


def in_process(kind: str, export: Path, file: Path, place: Path) -> dict[str, float]:
    """Answer a file in a process of its own. Return texts a second, without loading, and its peak memory."""
    output = place / f"answers-{file.name}"
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.scale", kind, *map(str, (export, file, output))]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    print(kind, file.name, found, flush=True)
    return found


def answer_file(export: Path, file: Path, output: Path) -> float:
    """Answer a file to another one."""
    return prensa.predict(export, output, data=file).texts_a_second


def answer_in_memory(export: Path, file: Path) -> float:
    """Answer texts that are in memory."""
    from pyarrow import parquet

    texts = parquet.read_table(file).column("text").to_pylist()
    served: Any = prensa.load(export)
    list(served.predict(texts[:64]))
    start = time.perf_counter()
    for _ in served.predict(texts):
        pass
    return len(texts) / (time.perf_counter() - start)


def child(kind: str, export: Path, file: Path, output: Path) -> None:
    """Do what a process does, and print what it took."""
    if kind == FILE:
        rate = answer_file(export, file, output)
    else:
        rate = answer_in_memory(export, file)
    # Not `ru_maxrss`, in which a process begins with what the one that started it had.
    peak = high_water_mark() / (1 << 20)
    print(json.dumps({"texts_a_second": round(rate, 2), "peak_mb": round(peak, 1)}))


if __name__ == "__main__":
    # Threads of tokenizers and of the runtime would be more than there are cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.argv[1:2] in ([FILE], [MEMORY]):
        child(sys.argv[1], *map(Path, sys.argv[2:5]))
    else:
        main()
