"""Compare models that turn a text into a vector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, Interval, exact_interval, intervals
from prensa.evaluation.disagreements import Described, in_one_line, most
from prensa.evaluation.figures import DISTANCE, Drop, Figure, Quality
from prensa.evaluation.neighbours import Neighbours, count_in
from prensa.texts.columns import Texts

Vectors = NDArray[np.generic]
"""``[texts, size]``"""

Shares = NDArray[np.float64]
"""``[texts]``"""

# Of so many neighbours it is always said how many stay.
_TEN = 10


def compare(texts: Texts, original: Vectors, result: Vectors, draws: Draws, metric: str = "") -> Quality:
    """Compare the vectors of the same texts.

    Judged by 1 minus the mean cosine or, where that is the ``metric``, by the share of a text's nearest texts
    that are no longer among its nearest. There is no such drop where the texts are too few.
    """
    distance = 1 - cosines(original, result)
    figures = [
        Figure("mean cosine", float(1 - distance.mean())),
        Figure("smallest cosine", float(1 - distance.max())),
    ]
    judged_by = count_in(metric)
    # Where all other texts are a text's nearest, they stay so whatever the vectors are.
    counts = {count for count in (1, _TEN, judged_by) if 0 < count < len(distance) - 1}
    if counts:
        neighbours = Neighbours.of(_unit(original), _unit(result), max(counts))
        lost = {count: neighbours.lost(count) for count in counts}
        figures += _that_stay(lost, draws)
    if not judged_by:
        drop = Drop(DISTANCE, float(distance.mean()), _interval(distance, draws))
        listed = most(texts, distance, lambda index: ("", "", f"cosine {1 - distance[index]:.4f}"))
        return Quality(drop, figures=tuple(figures), disagreement=DISTANCE, disagreements=listed)
    if judged_by not in counts:
        return Quality(figures=tuple(figures))

    def describe(index: int) -> Described:
        gone, come = neighbours.swapped(index, judged_by)
        return "", f"near: {in_one_line(texts.texts[gone])}", f"near: {in_one_line(texts.texts[come])}"

    return Quality(
        drop=Drop(
            metric,
            float(lost[judged_by].mean()),
            _of_lost(lost[judged_by], draws),
            none_changed=not lost[judged_by].any(),
        ),
        figures=tuple(figures),
        disagreement=f"share of the {judged_by:,} nearest texts that are others",
        disagreements=most(texts, lost[judged_by], describe),
    )


def _that_stay(lost: Mapping[int, Shares], draws: Draws) -> list[Figure]:
    figures = [Figure("same nearest neighbour among the texts", float(1 - lost[1].mean()), is_share=True)]
    if _TEN in lost:
        interval = _of_lost(lost[_TEN], draws)
        if interval is not None:
            interval = 1 - interval[1], 1 - interval[0]
        stay = float(1 - lost[_TEN].mean())
        figures.append(Figure("ten nearest that stay", stay, is_share=True, interval=interval))
    return figures


def _of_lost(lost: Shares, draws: Draws) -> Interval | None:
    """Return the interval of the share of neighbours that are lost; where none is, other texts' may be."""
    interval = _interval(lost, draws)
    if interval is None or lost.any():
        return interval
    return exact_interval(0, len(lost))


def _interval(shares: Shares, draws: Draws) -> Interval | None:
    def mean(drawn: NDArray[np.int64]) -> list[float]:
        return [float(shares[drawn].mean())]

    (interval,) = intervals(mean, len(shares), draws)
    return interval


def cosines(original: Vectors, result: Vectors) -> Shares:
    """Return the cosine of each text's vectors ``[texts]``."""
    products = (_unit(original) * _unit(result)).sum(axis=1)
    # Rounding may take the product of a vector with itself beyond 1.
    return np.asarray(np.clip(products, -1, 1))


def _unit(vectors: Vectors) -> Shares:
    """Return vectors in float64, of length 1."""
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(vectors.astype(np.float64)))
