"""Compare models that give a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, Interval, intervals
from prensa.evaluation.classification import drop_of
from prensa.evaluation.figures import PEARSON, SPEARMAN, Drop, Figure, Metric, Quality, metric_of
from prensa.sharing import WITHOUT_WARNINGS

Numbers = NDArray[np.floating]
"""``[texts]``"""

ERROR = "mean absolute error"
_RANK_WITH_ORIGINAL = "rank correlation with the original"
_CONSTANT = "needs numbers that differ"
_FEWEST = 2


class _Correlation(Protocol):
    """What SciPy returns of two variables."""

    @property
    def statistic(self) -> float: ...


def scores(truth: Numbers, given: Numbers) -> dict[str, float]:
    """Compute every metric; NaN if it is not defined."""
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, r2_score

    r2 = float("nan")
    if np.ptp(truth) > 0:
        r2 = float(r2_score(truth, given))
    return {
        SPEARMAN: _correlation(spearmanr, truth, given),
        PEARSON: _correlation(pearsonr, truth, given),
        "R²": r2,
        ERROR: float(mean_absolute_error(truth, given)),
    }


def compare(
    truth: Numbers | None, original: Numbers, result: Numbers, draws: Draws, metric: str = SPEARMAN
) -> Quality:
    """Compare the numbers; judged by a correlation with the truth, or by that of ranks with the original."""
    figures = _figures(original, result)
    if truth is None:
        drop = _drop_from_original(original, result, draws)
        return Quality(drop=drop, figures=figures)
    metrics = _metrics(truth, original, result, draws)
    return Quality(drop=drop_of(metrics, metric), metrics=metrics, figures=figures)


def _figures(original: Numbers, result: Numbers) -> tuple[Figure, ...]:
    distance = np.abs(result - original)
    # By way of the drop, as everywhere else: 1 − (1 − x) is not x in the last digit.
    correlation = 1 - _rank_distance(original, result)
    figures = [
        Figure("Spearman correlation with the original", correlation),
        Figure("mean distance", float(distance.mean())),
        Figure("largest distance", float(distance.max())),
    ]
    return tuple(figure for figure in figures if not np.isnan(figure.value))


def _drop_from_original(original: Numbers, result: Numbers, draws: Draws) -> Drop | None:
    """Judge without labels: how far the ranks are from the original's."""

    def distance(texts: NDArray[np.int64]) -> list[float]:
        return [_rank_distance(original[texts], result[texts])]

    (interval,) = intervals(distance, len(original), draws)
    value = _rank_distance(original, result)
    if np.isnan(value):
        return None
    return Drop(_RANK_WITH_ORIGINAL, value, interval)


def _metrics(truth: Numbers, original: Numbers, result: Numbers, draws: Draws) -> tuple[Metric, ...]:
    def differences(texts: NDArray[np.int64]) -> list[float]:
        before = scores(truth[texts], original[texts])
        after = scores(truth[texts], result[texts])
        return [after[name] - before[name] for name in before]

    before = scores(truth, original)
    after = scores(truth, result)
    of_metrics: Sequence[Interval | None] = intervals(differences, len(truth), draws)
    metrics = []
    for name, interval in zip(before, of_metrics, strict=True):
        metric = metric_of(
            name,
            before[name],
            after[name],
            interval,
            missing=_CONSTANT,
            higher_is_better=name != ERROR,
            is_share=False,
        )
        metrics.append(metric)
    return tuple(metrics)


def _rank_distance(original: Numbers, result: Numbers) -> float:
    from scipy.stats import spearmanr

    return 1 - _correlation(spearmanr, original, result)


def _correlation(method: Callable[[Numbers, Numbers], _Correlation], one: Numbers, other: Numbers) -> float:
    if len(one) < _FEWEST:
        return float("nan")
    # SciPy warns of constant numbers, of which the correlation is NaN: the answer says it already.
    with WITHOUT_WARNINGS:
        return float(method(one, other).statistic)
