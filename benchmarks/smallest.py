"""The smallest file of ``toxic-deberta`` within one point of accuracy, by several ways at once.

``python -m benchmarks.smallest [WAY …]``: each searches with a half of the 4,000 test comments, confirms with
the other half, and is judged by all of them at the end. The vocabulary is always trimmed, to what 99.9 % of
the training comments' tokens need. A result takes its place among those that are there.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers.utils import logging

import prensa
from benchmarks.calibrated import TRAIN, comments_judge, judged
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import known, save
from prensa.evaluation.judge import Judge

WAYS: dict[str, dict[str, Any]] = {
    "trimmed": {},
    "trimmed, shrunk 2×": {"faster": "2x"},
    "trimmed, healed for 10 minutes": {"heal": "10min"},
}
MAX_DROP = 0.01


def main() -> None:
    """Search in each way asked for, and write down each as it comes."""
    logging.disable_progress_bar()
    judge = comments_judge()
    for way in sys.argv[1:] or WAYS:
        measured = _searched(WAYS[way], judge)
        results = known("smallest") | {way: measured}
        save("smallest", {"model": "toxic-deberta", "max_drop": MAX_DROP, "results": results})


def _searched(settings: dict[str, Any], judge: Judge) -> dict[str, Any]:
    """Search for the smallest that keeps the budget, and judge it by all comments."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        made = prensa.compress(
            MODEL,
            output,
            preset="small",
            texts=TRAIN,
            data=COMMENTS,
            max_drop=MAX_DROP,
            trim_vocabulary=prensa.TrimVocabulary(coverage=0.999),
            **settings,
        )
        row: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 1), "held": made.held}
        if made.outcome is not None and made.outcome.drop is not None:
            # On the half that the search had not seen.
            row["confirmed"] = dataclasses.asdict(made.outcome.drop)
        if made.manifest is None:
            return row
        if made.manifest.shrink is not None:
            row["measured"] = round(made.manifest.shrink.faster, 2)
        return row | judged(output, (MODEL / "model.safetensors").stat().st_size, judge)


if __name__ == "__main__":
    main()
