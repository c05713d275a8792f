"""How well the result does what its task asks, beside the original: one function for each kind of task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from prensa.checkpoint.kinds import Kind
from prensa.evaluation import embeddings, language, regression
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classes import compare_texts
from prensa.evaluation.disagreements import SHOWN, Described, most
from prensa.evaluation.figures import SPEARMAN, Quality
from prensa.evaluation.original import likeness
from prensa.evaluation.other_half import chosen_thresholds, on_other_half
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.questions import compare_questions
from prensa.evaluation.rankings import compare_rankings
from prensa.evaluation.words import compare_words
from prensa.evaluation.writing import compare_writing

__all__ = ["SHOWN", "Outputs", "compare"]


def compare(outputs: Outputs, draws: Draws) -> Quality:
    """Compare a result's outputs with the original's, and with the right answers if they are known.

    Thresholds that are to be chosen are chosen on one half of the texts; then the other half is compared.
    Raises :class:`~prensa.errors.DataError` where the texts are too few for that.
    """
    broken = 0
    for output in outputs.result:
        if not np.isfinite(output).all():
            broken += 1
    if not broken:
        outputs = on_other_half(outputs)
    of_original, _ = outputs.thresholds
    alike = likeness(outputs.task.kind, outputs.original, of_original)
    if broken:
        return Quality(broken=broken, alike=alike)
    if outputs.texts.queries is not None:
        # That a label is never given says nothing of an order.
        constant = alike if alike == "constant" else ""
        return dataclasses.replace(compare_rankings(outputs, draws), alike=constant)
    compare_kind = _COMPARISONS[outputs.task.kind]
    quality = dataclasses.replace(compare_kind(outputs, draws), alike=alike)
    thresholds = chosen_thresholds(outputs)
    if not thresholds:
        return quality
    return dataclasses.replace(quality, thresholds=thresholds, judged=len(outputs.texts))


def _of_numbers(outputs: Outputs, draws: Draws) -> Quality:
    before = np.concatenate(outputs.original).astype(float)
    after = np.concatenate(outputs.result).astype(float)
    truth = None
    if outputs.texts.labels is not None:
        truth = np.array(outputs.texts.labels, dtype=float)

    def describe(index: int) -> Described:
        right = ""
        if truth is not None:
            right = f"{truth[index]:.4g}"
        return right, f"{before[index]:.4g}", f"{after[index]:.4g}"

    quality = regression.compare(truth, before, after, draws, outputs.terms.metric or SPEARMAN)
    listed = most(outputs.texts, np.abs(after - before), describe)
    return dataclasses.replace(quality, disagreement="distance", disagreements=listed)


def _of_language(outputs: Outputs, draws: Draws) -> Quality:
    before = np.stack(outputs.original)
    after = np.stack(outputs.result)

    def describe(index: int) -> Described:
        return "", language.describe(before[index]), language.describe(after[index])

    listed = most(outputs.texts, language.mean_divergences(after), describe)
    quality = language.compare(before, after, draws)
    return dataclasses.replace(
        quality, disagreement="mean divergence (KL, nats per piece)", disagreements=listed
    )


def _of_vectors(outputs: Outputs, draws: Draws) -> Quality:
    before = np.stack(outputs.original)
    after = np.stack(outputs.result)
    return embeddings.compare(outputs.texts, before, after, draws, outputs.terms.metric)


_COMPARISONS: dict[Kind, Callable[[Outputs, Draws], Quality]] = {
    "classes": compare_texts,
    "multi-label": compare_texts,
    "tokens": compare_words,
    "regression": _of_numbers,
    "masked": _of_language,
    "causal": _of_language,
    "embedding": _of_vectors,
    "questions": compare_questions,
    "writing": compare_writing,
}
