"""Compare models that give a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.classification import drop_of
from prensa.evaluation.results import SPEARMAN, Drop, Figure, Metric, Quality
from prensa.isolation import WITHOUT_WARNINGS

Array = NDArray[Any]

ERROR = "mean absolute error"
_CONSTANT = "needs numbers that differ"


def scores(truth: Array, given: Array) -> dict[str, float]:
    """Compute every metric of numbers ``[texts]``; NaN where it is not defined."""
    return {
        SPEARMAN: _correlation(spearmanr, truth, given),
        "Pearson correlation": _correlation(pearsonr, truth, given),
        "R²": float(r2_score(truth, given)) if np.ptp(truth) > 0 else float("nan"),
        ERROR: float(mean_absolute_error(truth, given)),
    }


def compare(truth: Array | None, original: Array, result: Array, draws: Draws) -> Quality:
    """Compare numbers ``[texts]``; judged by the rank correlation with the truth, or with the original."""

    def against_original(texts: Array) -> list[float]:
        return [1 - _correlation(spearmanr, original[texts], result[texts])]

    distance = np.abs(result - original)
    figures: tuple[Figure, ...] = (
        Figure("Spearman correlation with the original", 1 - against_original(np.arange(len(original)))[0]),
        Figure("mean distance", float(distance.mean())),
        Figure("largest distance", float(distance.max())),
    )
    figures = tuple(figure for figure in figures if not np.isnan(figure.value))
    if truth is None:
        (interval,) = intervals(against_original, len(original), draws)
        value = against_original(np.arange(len(original)))[0]
        of = "rank correlation with the original"
        return Quality(drop=None if np.isnan(value) else Drop(of, value, interval), figures=figures)
    known = truth

    def differences(texts: Array) -> list[float]:
        one, other = (scores(known[texts], given[texts]) for given in (original, result))
        return [other[name] - one[name] for name in one]

    before, after = scores(truth, original), scores(truth, result)
    found = dict(zip(before, intervals(differences, len(truth), draws), strict=True))
    metrics = tuple(
        Metric(
            name,
            None if np.isnan(before[name]) else before[name],
            None if np.isnan(after[name]) else after[name],
            found[name],
            higher_is_better=name != ERROR,
            is_share=False,
            note=_CONSTANT if np.isnan([before[name], after[name]]).any() else "",
        )
        for name in before
    )
    return Quality(drop=drop_of(metrics, SPEARMAN), metrics=metrics, figures=figures)


def _correlation(method: Callable[..., Any], one: Array, other: Array) -> float:
    if len(one) < 2:  # noqa: PLR2004
        return float("nan")
    with WITHOUT_WARNINGS:  # of constant numbers: the answer says it
        return float(method(one, other).statistic)
