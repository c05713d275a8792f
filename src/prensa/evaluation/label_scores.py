"""How well each label is found: recall, precision, F1 and average precision, fast enough to be resampled.

All but the last are ratios of three counts. Average precision (the area under the precision–recall curve)
needs the things in the order of their probability; they are sorted once, and a resample only weights them.
The numbers are scikit-learn's, which the tests compare them with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """How often something is right, how often it is given, and both at once: of each label ``[labels]``."""

    right: Floats
    given: Floats
    found: Floats

    @property
    def recall(self) -> Floats:
        """The share of what is right that is given; NaN where nothing is right."""
        return ratios(self.found, self.right)

    @property
    def precision(self) -> Floats:
        """The share of what is given that is right; NaN where nothing is given."""
        return ratios(self.found, self.given)

    @property
    def f1(self) -> Floats:
        """The harmonic mean of both; NaN where nothing is right or given."""
        return ratios(2 * self.found, self.right + self.given)


def count(truth: Ids, chosen: Ids, labels: int) -> Counts:
    """Count ids ``[things]``, or zeros and ones ``[things, labels]``."""
    if truth.ndim > 1:
        return Counts(
            truth.sum(axis=0).astype(float),
            chosen.sum(axis=0).astype(float),
            (truth & chosen).sum(axis=0).astype(float),
        )
    hits = truth[truth == chosen]
    return Counts(*(np.bincount(ids, minlength=labels).astype(float) for ids in (truth, chosen, hits)))


def flags(ids: Ids, labels: int) -> Flags:
    """Return which labels apply ``[things, labels]``, of ids ``[things]`` or zeros and ones."""
    if ids.ndim > 1:
        return ids.astype(bool)
    return np.asarray(ids[:, None] == np.arange(labels))


def ratios(part: Floats, whole: Floats) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


class Rankings:
    """The things in the order of each label's probability ``[things, labels]``, the most likely first."""

    def __init__(self, applies: Flags, probabilities: Floats) -> None:
        """Sort. ``applies`` says which labels are right ``[things, labels]``."""
        self._of_labels = [_Ranking.of(*columns) for columns in zip(applies.T, probabilities.T, strict=True)]

    def average_precision(self, weights: Floats) -> Floats:
        """Return that of each label ``[labels]``, things counted ``weights`` times ``[things]``.

        It is the sum, over the probabilities from the highest on, of the precision of what is at least as
        likely times the recall that is gained there. NaN for labels that no thing has.
        """
        return np.array([ranking.average_precision(weights) for ranking in self._of_labels])


@dataclass(frozen=True)
class _Ranking:
    """The order of things by one label. ``ends`` are the last places of things with the same probability."""

    order: Ids
    applies: Flags
    ends: Ids

    @classmethod
    def of(cls, applies: Flags, probabilities: Floats) -> _Ranking:
        order = np.argsort(-probabilities, kind="stable")
        ranked = probabilities[order]
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        return cls(order, applies[order], ends)

    def average_precision(self, weights: Floats) -> float:
        ranked = weights[self.order]
        things = np.cumsum(ranked)[self.ends]
        found = np.cumsum(ranked * self.applies)[self.ends]
        if not found[-1]:
            return float("nan")
        # Things that a resample does not hold gain nothing, and have no precision either.
        precision = np.divide(found, things, out=np.zeros(len(things)), where=things > 0)
        gained = np.diff(found, prepend=0)
        return float((gained * precision).sum() / found[-1])
