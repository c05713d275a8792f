"""Compare models that write texts: with texts that are right, or with what the original writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classification import drop_of
from prensa.evaluation.disagreements import Described, most
from prensa.evaluation.figures import CHRF, Drop, Figure, Metric, Quality
from prensa.evaluation.generation import text_of
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.predict import Output
from prensa.evaluation.text_metrics import Written, chrf, rouge_l
from prensa.evaluation.text_scores import Sameness, compare_scores, right_texts


def compare_writing(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the texts that two models wrote; usually judged by chrF, which reads every script."""
    before = _texts(outputs.original)
    after = _texts(outputs.result)
    of_original = [[text] for text in before]
    likeness = chrf(after, of_original)
    sameness = Sameness.of(before, after)
    figures = (
        sameness.figure,
        Figure("chrF with the original's texts", float(likeness.mean()), is_share=True),
        Figure("ROUGE-L with the original's texts", float(rouge_l(after, of_original).mean()), is_share=True),
    )
    right = right_texts(outputs)

    def describe(index: int) -> Described:
        return " / ".join(right[index]) if right else "", before[index], after[index]

    drop: Drop | None = sameness.changed
    metrics: tuple[Metric, ...] = ()
    if right:
        metrics = compare_scores(Written(before, right), Written(after, right), len(right), draws)
        drop = drop_of(metrics, outputs.terms.metric or CHRF)
    return Quality(
        drop=drop,
        metrics=metrics,
        figures=figures,
        disagreement="1 − chrF of the two texts",
        disagreements=most(outputs.texts, np.where(sameness.same, 0.0, 1 - likeness), describe),
    )


def _texts(outputs: Sequence[Output]) -> list[str]:
    return [text_of(output) for output in outputs]
