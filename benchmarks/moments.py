"""What more texts in calibration are worth: bytes and divergence of ``toxic-deberta`` at two noises.

``python -m benchmarks.moments [TEXTS[:DAMPENING][@DRAW] …]``: so many training comments go through the model,
and the moments are dampened by so much (0.3 unless said). Draws differ in the comments that they take, so
that they show how much of a difference is luck. Judged by 1,000 test comments. A result takes its place among
those that are there.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from transformers.utils import logging

from benchmarks.calibrated import TOKENS, TRAIN, judged
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import known, save
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.evaluation.judge import Judge, plan_judge
from prensa.ops.statistics import Statistics
from prensa.pressing import pipeline
from prensa.pressing.recipe import Changes, adjusted, load_preset
from prensa.texts.library import Library
from prensa.texts.source import Source

VARIANTS = ("256@0", "1024@0", "256@1", "1024@1", "256@2", "1024@2")
NOISES = (0.004, 0.012)
JUDGED = 1000
DAMPENING = 0.3


def main() -> None:
    """Calibrate once for each number of texts, press with each dampening and noise, judge."""
    logging.disable_progress_bar()
    results = known("moments")
    plan = plan_judge(
        MODEL, Source(COMMENTS, limit=JUDGED), library=Library(), device="cpu", max_length=TOKENS
    )
    judge = Judge(plan)
    for variant in sys.argv[1:] or VARIANTS:
        rest, _, draw = variant.partition("@")
        texts, _, dampening = rest.partition(":")
        statistics, seconds = _collected(int(texts), int(draw or 0))
        for noise in NOISES:
            row = _pressed(statistics, noise, float(dampening or DAMPENING), judge)
            name = f"{texts} texts, draw {draw or 0}, dampening {dampening or DAMPENING}, noise {noise}"
            results[name] = row | {"collecting_seconds": seconds}
            save("moments", {"model": "toxic-deberta", "judged_by": JUDGED, "results": results})


@cache
def _collected(texts: int, draw: int) -> tuple[Statistics, float]:
    """Return the statistics of so many texts, and the seconds that they took."""
    with tempfile.TemporaryDirectory() as folder:
        path = _shuffled(Path(folder) / "texts.csv", draw)
        start = time.perf_counter()
        plan = plan_calibration(MODEL, Source(path, limit=texts), library=Library())
        return collect(plan), round(time.perf_counter() - start, 1)


def _shuffled(path: Path, draw: int) -> Path:
    """Write all comments in an order of their own, so that others of them are drawn."""
    with TRAIN.open(encoding="utf-8", newline="") as file:
        comments = [row["text"] for row in csv.DictReader(file)]
    random.Random(draw).shuffle(comments)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([comment] for comment in comments)
    return path


def _pressed(statistics: Statistics, noise: float, dampening: float, judge: Judge) -> dict[str, Any]:
    recipe = adjusted(load_preset("small"), Changes(noise=noise)).with_settings("gptq", dampening=dampening)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        pipeline.run(pipeline.plan(MODEL, recipe, output), statistics=statistics)
        return judged(output, (MODEL / "model.safetensors").stat().st_size, judge)


if __name__ == "__main__":
    main()
