"""Compare models that turn a text into a vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.figures import DISTANCE, Drop, Figure, Quality

_FEWEST_NEIGHBOURS = 3

Vectors = NDArray[np.generic]
"""``[texts, size]``"""


def compare(original: Vectors, result: Vectors, draws: Draws) -> Quality:
    """Compare the vectors of the same texts; judged by 1 minus the mean cosine."""
    distance = 1 - cosines(original, result)

    def mean_distance(texts: NDArray[np.int64]) -> list[float]:
        return [float(distance[texts].mean())]

    (interval,) = intervals(mean_distance, len(distance), draws)
    mean = distance.mean()
    drop = Drop(DISTANCE, float(mean), interval)
    figures = [
        Figure("mean cosine", float(1 - mean)),
        Figure("smallest cosine", float(1 - distance.max())),
    ]
    # Of two texts each is the other's neighbour, whatever the vectors are.
    if len(distance) >= _FEWEST_NEIGHBOURS:
        same = float((_neighbours(original) == _neighbours(result)).mean())
        figures.append(Figure("same nearest neighbour among the texts", same, is_share=True))
    return Quality(drop=drop, figures=tuple(figures))


def cosines(original: Vectors, result: Vectors) -> NDArray[np.float64]:
    """Return the cosine of each text's vectors ``[texts]``."""
    from sklearn.preprocessing import normalize

    before = normalize(original.astype(np.float64))
    after = normalize(result.astype(np.float64))
    products = (before * after).sum(axis=1)
    # Rounding may take the product of a vector with itself beyond 1.
    return np.asarray(np.clip(products, -1, 1))


def _neighbours(vectors: Vectors) -> NDArray[np.int64]:
    """Return for each text the index of the one whose vector is nearest in angle."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, metric="cosine")
    search.fit(vectors.astype(np.float64))
    # Without vectors to look up, each text's own is left out of its neighbours.
    neighbours = search.kneighbors(return_distance=False)
    return np.asarray(neighbours[:, 0])
