"""From which probability on a label is given, where that is not left to the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]

Thresholds = Mapping[int, float]
"""By the number of the label."""

# A label applies if it is more likely than not.
_APPLIES = 0.5


def several_of(probabilities: Floats, thresholds: Thresholds) -> Ids:
    """Return zeros and ones ``[texts, labels]``: each label applies above its threshold, usually 0.5."""
    limits = np.full(probabilities.shape[1], _APPLIES)
    for label, threshold in thresholds.items():
        limits[label] = threshold
    return (probabilities > limits).astype(np.int64)


def one_of(probabilities: Floats, thresholds: Thresholds) -> Ids:
    """Return the one label that is chosen for each text ``[texts]``, of probabilities ``[texts, labels]``.

    It is the most likely one. A label with a threshold is chosen before all others where it is above it, and
    never below. Where all labels have thresholds and none is reached, the most likely one is chosen.
    """
    likeliest = np.asarray(probabilities.argmax(axis=1))
    if not thresholds:
        return likeliest
    limits = np.full(probabilities.shape[1], np.nan)
    for label, threshold in thresholds.items():
        limits[label] = threshold
    above = probabilities > limits  # nothing is above NaN
    among_above = np.where(above, probabilities, -1).argmax(axis=1)
    without = np.isnan(limits)
    among_others = likeliest
    if without.any():
        among_others = np.where(without, probabilities, -1).argmax(axis=1)
    return np.asarray(np.where(above.any(axis=1), among_above, among_others))
