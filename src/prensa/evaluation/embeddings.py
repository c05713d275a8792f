"""Compare models that turn a text into a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.results import DISTANCE, Drop, Figure, Quality

Array = NDArray[Any]


def compare(original: Array, result: Array, draws: Draws) -> Quality:
    """Compare vectors ``[texts, size]``; judged by 1 minus the mean cosine."""
    distance = 1 - cosines(original, result)
    (interval,) = intervals(lambda texts: [float(distance[texts].mean())], len(distance), draws)
    drop = Drop(DISTANCE, float(distance.mean()), interval)
    figures = [
        Figure("mean cosine", float(1 - distance.mean())),
        Figure("smallest cosine", float(1 - distance.max())),
    ]
    if len(distance) > 2:  # noqa: PLR2004  of two texts each is the other's neighbour
        same = float((_neighbours(original) == _neighbours(result)).mean())
        figures.append(Figure("same nearest neighbour among the texts", same, is_share=True))
    return Quality(drop=drop, figures=tuple(figures))


def cosines(original: Array, result: Array) -> Array:
    """Return the cosine of each text's vectors."""
    products = (normalize(original.astype(np.float64)) * normalize(result.astype(np.float64))).sum(axis=1)
    return np.asarray(np.clip(products, -1, 1))


def _neighbours(vectors: Array) -> Array:
    """Return for each text the index of the one whose vector is nearest in angle."""
    search = NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors.astype(np.float64))
    return np.asarray(search.kneighbors(return_distance=False)[:, 0])
