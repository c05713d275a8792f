"""Whether a model is right as often as it says (Guo et al., arXiv 1706.04599, section 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.figures import Bin

BINS = 15

Floats = NDArray[np.floating]
Right = NDArray[np.bool_] | NDArray[np.int64]
"""Whether answers are right: true and false, or one and zero."""


def calibration_error(confidence: Floats, right: Right) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy over the bins.

    ``confidence`` are probabilities ``[answers]``, ``right`` whether each is so; bins are of equal width.
    """
    counts, sums, hits = _bins(confidence, right)
    return float(np.abs(sums - hits).sum() / max(1, counts.sum()))


def reliability(confidence: Floats, right: Right) -> tuple[Bin, ...]:
    """Return the bins that hold anything."""
    counts, sums, hits = _bins(confidence, right)
    bins = []
    for count, total, hit in zip(counts, sums, hits, strict=True):
        if count:
            mean = float(total / count)
            share = float(hit / count)
            bins.append(Bin(int(count), mean, share))
    return tuple(bins)


def _bins(confidence: Floats, right: Right) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return for each bin the count of its answers, the sum of their confidences, and how many are right."""
    # A confidence of exactly 1 belongs to the last bin, not to one behind it.
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts: NDArray[np.int64] = np.bincount(bins, minlength=BINS)
    sums = np.bincount(bins, weights=confidence, minlength=BINS)
    hits = np.bincount(bins, weights=right.astype(float), minlength=BINS)
    # With weights NumPy counts in float64, and declares integers.
    return counts, np.asarray(sums, dtype=np.float64), np.asarray(hits, dtype=np.float64)
