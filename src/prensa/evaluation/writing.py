"""Compare models that write texts: with texts that are right, or with what the original writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classification import drop_of, share_changed
from prensa.evaluation.disagreements import Described, most
from prensa.evaluation.figures import AGREEMENT, CHRF, Drop, Figure, Metric, Quality
from prensa.evaluation.generation import text_of
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.predict import Output
from prensa.evaluation.text_metrics import Written, chrf, rouge_l
from prensa.evaluation.text_scores import compare_scores


def compare_writing(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the texts that two models wrote; usually judged by chrF, which reads every script."""
    before = _texts(outputs.original)
    after = _texts(outputs.result)
    of_original = [[text] for text in before]
    likeness = chrf(after, of_original)
    same = np.array([one == other for one, other in zip(before, after, strict=True)])
    changed = share_changed(same, None, Draws(draws.count))
    low, high = changed.interval or (0.0, 1.0)
    figures = (
        Figure(AGREEMENT, 1 - changed.value, is_share=True, interval=(1 - high, 1 - low)),
        Figure("chrF with the original's texts", float(likeness.mean()), is_share=True),
        Figure("ROUGE-L with the original's texts", float(rouge_l(after, of_original).mean()), is_share=True),
    )
    right: list[list[str]] = []
    for label in outputs.texts.labels or ():
        right.append([str(text) for text in label])

    def describe(index: int) -> Described:
        return " / ".join(right[index]) if right else "", before[index], after[index]

    drop: Drop | None = changed
    metrics: tuple[Metric, ...] = ()
    if right:
        metrics = compare_scores(
            Written(before, right), Written(after, right), len(right), draws, unchanged=bool(same.all())
        )
        drop = drop_of(metrics, outputs.terms.metric or CHRF)
    return Quality(
        drop=drop,
        metrics=metrics,
        figures=figures,
        disagreement="1 − chrF of the two texts",
        disagreements=most(outputs.texts, np.where(same, 0.0, 1 - likeness), describe),
    )


def _texts(outputs: Sequence[Output]) -> list[str]:
    return [text_of(output) for output in outputs]
