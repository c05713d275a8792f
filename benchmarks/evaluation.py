"""What evaluating costs beside the shortest loop one would write by hand, and whether its numbers repeat.

4,000 comments are answered by ``toxic-deberta`` and by its ``int8`` result in float32, once by the planning
and the quality stage of ``prensa evaluate`` (tokenizer, loading, answers, metrics of both, 1,000 resamples
for the intervals) and once by a hand-written loop over the same texts, sorted by length, that ends with two
accuracies. Both in turns, in one process.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

import prensa
from benchmarks.record import SHARED, save, spread
from prensa.evaluation.results import Evaluation
from prensa.texts.source import Source

REPEATS = 3
BATCH = 32
MODEL = SHARED / "models" / "toxic-deberta"
COMMENTS = SHARED / "data" / "toxic-comments" / "test.csv"


def main() -> None:
    """Time both in turns and compare the numbers of all evaluations."""
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        pressed = Path(place) / "int8"
        prensa.compress(MODEL, pressed)
        _by_hand(pressed, limit=100)
        _evaluated(pressed, limit=100)  # both are warm now
        ours, by_hand, found, accuracies = [], [], [], []
        for _ in range(REPEATS):
            start = time.perf_counter()
            found.append(_evaluated(pressed))
            middle = time.perf_counter()
            accuracies.append([_by_hand(path) for path in (MODEL, pressed)])
            ours.append(middle - start)
            by_hand.append(time.perf_counter() - middle)
    quality = [evaluation.results[0].quality for evaluation in found]
    assert quality[0] is not None
    accuracy = quality[0].metrics[0]
    save(
        "evaluation",
        {
            "model": "toxic-deberta",
            "texts": found[0].data.texts,
            "evaluate_seconds": spread(ours),
            "by_hand_seconds": spread(by_hand),
            "ratio_of_medians": round(median(ours) / median(by_hand), 3),
            "ratio_of_minima": round(min(ours) / min(by_hand), 3),
            "accuracy": [accuracy.original, accuracy.result],
            "accuracy_by_hand": accuracies[0],
            "same_numbers_every_time": all(each == quality[0] for each in quality),
        },
    )


def _evaluated(pressed: Path, limit: int | None = None) -> Evaluation:
    """Evaluate up to the quality stage: an interruption ends the rest."""

    def stop(stage: str, *_: int) -> None:
        if stage == "timing":
            raise KeyboardInterrupt

    job = prensa.Comparison(MODEL, (pressed,), data=Source(COMMENTS, limit=limit), device="cpu")
    return job.plan().run(stop)


@torch.inference_mode()
def _by_hand(path: Path, limit: int | None = None) -> float:
    with COMMENTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:limit]
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    kind: Any = AutoModelForSequenceClassification
    model = kind.from_pretrained(path, dtype=torch.float32).eval()
    ids = tokenizer([row["text"] for row in rows], truncation=True)["input_ids"]
    order = sorted(range(len(rows)), key=lambda i: -len(ids[i]))
    right = 0
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        batch = tokenizer.pad({"input_ids": [ids[i] for i in part]}, return_tensors="pt")
        answers = model(**batch).logits.argmax(dim=-1).tolist()
        right += sum(answer == int(rows[i]["label"]) for answer, i in zip(answers, part, strict=True))
    return right / len(rows)


if __name__ == "__main__":
    main()
