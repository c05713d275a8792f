"""Whether a model is right as often as it says (Guo et al., arXiv 1706.04599, section 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.results import Bin

BINS = 15

Array = NDArray[Any]


def calibration_error(confidence: Array, right: Array) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy over the bins.

    ``confidence`` are probabilities ``[answers]``, ``right`` whether each is so; bins are of equal width.
    """
    counts, sums, hits = _bins(confidence, right)
    return float(np.abs(sums - hits).sum() / max(1, counts.sum()))


def reliability(confidence: Array, right: Array) -> tuple[Bin, ...]:
    """Return the bins that hold anything."""
    return tuple(
        Bin(int(count), float(total / count), float(hit / count))
        for count, total, hit in zip(*_bins(confidence, right), strict=True)
        if count
    )


def _bins(confidence: Array, right: Array) -> tuple[Array, Array, Array]:
    where = np.minimum((confidence * BINS).astype(int), BINS - 1)
    weights = (None, confidence, right.astype(float))
    counts, sums, hits = (np.bincount(where, weights=each, minlength=BINS) for each in weights)
    return counts, sums, hits
