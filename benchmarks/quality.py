"""What each preset costs in accuracy and in time on ``toxic-deberta``: one evaluation on 4,000 comments."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from transformers.utils import logging

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import save
from benchmarks.sizes import PRESETS
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.speed import ratio, typical
from prensa.evaluation.verdict import verdict
from prensa.pressing.recipe import Changes, adjusted, load_preset


def main() -> None:
    """Press with each preset and evaluate all results side by side."""
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for preset, form in PRESETS:
            paths.append(Path(place) / f"{preset} {form}")
            prensa.compress(MODEL, paths[-1], recipe=adjusted(load_preset(preset), Changes(format=form)))
        evaluation = prensa.evaluate(MODEL, paths, data=COMMENTS, device="cpu", max_drop=0.01)
    save(
        "quality",
        {
            "model": "toxic-deberta",
            "texts": evaluation.data.texts,
            "results": {result.name: _summary(evaluation, result) for result in evaluation.results},
        },
    )


def _summary(evaluation: Evaluation, result: Model) -> dict[str, Any]:
    middle = evaluation.data.quartiles[2]
    quality = result.quality
    before, after = (typical(each.timings, middle) for each in (evaluation.original, result))
    assert quality is not None
    assert quality.drop is not None
    assert before is not None
    assert after is not None
    faster = ratio(before, after)
    return {
        "verdict": verdict(evaluation, result),
        "accuracy": [quality.metrics[0].original, quality.metrics[0].result],
        "drop": quality.drop.value,
        "interval": quality.drop.interval,
        "mcnemar_p": quality.mcnemar.p_value if quality.mcnemar else None,
        "same_answer": quality.figures[0].value,
        "times_as_fast": round(faster.median, 3),
        "times_as_fast_middle_half": [round(faster.low, 3), round(faster.high, 3)],
        "tokens": before.tokens,
    }


if __name__ == "__main__":
    main()
