"""How far the answers of a runtime are from PyTorch's, measured by how far answers are from each other.

An answer is a matrix: the logits or the vector of a text are one row, the logits or vectors of its tokens a
row each. All rows and all numbers count. What is added is summed up at once, so that the answers of a
language model, a row of its vocabulary's size for each token, never have to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
"""What a model answers to one text, ``[1, labels]`` or ``[tokens, size]``."""

# As a share of the numbers' size: answers that differ by less are the same but for rounding.
_ALIKE = 1e-5
# As a share of the numbers' size: what float32 loses on the way through a deep model.
_ROUNDING = 1e-5
# Numbers of an answer that a record keeps.
_KEPT = 4096


def as_rows(output: NDArray[np.float32]) -> Rows:
    """Return a model's output for one text, ``[labels]`` or ``[tokens, size]``, as rows."""
    if not output.ndim:
        return output.reshape(1, 1)
    return output.reshape(-1, output.shape[-1])


def thinned(rows: Rows) -> Rows:
    """Return what a record keeps of an answer: the last row at least, and columns from all over each row.

    The last row is what a decoder's next word comes from, and the first is alike for all texts.
    """
    step = math.ceil(rows.shape[1] / _KEPT)
    columns = rows[:, ::step]
    fitting = max(1, _KEPT // columns.shape[1])
    count = min(len(columns), fitting)
    # The last row of each of so many parts of equal length.
    ends = []
    for number in range(1, count + 1):
        end = number * len(columns) // count
        ends.append(end - 1)
    return columns[ends]


class Comparison:
    """Sums over all answers that were compared."""

    def __init__(self, scale: float | None = None) -> None:
        """Start with none. ``scale`` is what a distance of 1 is, where it was measured before."""
        self.broken = 0
        self._scale = scale
        self._error = 0.0
        self._rows = 0
        self._numbers = 0
        self._squares = 0.0
        self._around = 0.0
        self._origin: NDArray[np.float64] | None = None
        self._sums: NDArray[np.float64] = np.zeros(0)

    def add(self, answer: Rows, exact: Rows) -> None:
        """Add one text's answer, and what it should be. An exact one that is no number counts as broken."""
        if not np.isfinite(exact).all():
            self.broken += 1
            return
        truth = exact.astype(np.float64)
        if self._origin is None or self._origin.shape != truth[0].shape:
            self._origin = truth[0]
            self._sums = np.zeros(truth.shape[1])
        # Distances from the first row: sums of squares of the numbers themselves would drown a small spread.
        centred = truth - self._origin
        self._sums += centred.sum(axis=0)
        self._around += _sum_of_squares(centred)
        self._squares += _sum_of_squares(truth)
        self._rows += len(truth)
        self._numbers += truth.size
        self._error += squared_error(answer, exact)

    @property
    def spread(self) -> float:
        """Root mean square distance of the exact numbers from their column's mean."""
        if not self._rows:
            return 0.0
        around = self._around - _sum_of_squares(self._sums) / self._rows
        return math.sqrt(max(around, 0.0) / self._numbers)

    @property
    def magnitude(self) -> float:
        """Root mean square of the exact numbers."""
        if not self._numbers:
            return 0.0
        return math.sqrt(self._squares / self._numbers)

    @property
    def alike(self) -> bool:
        """Whether the exact answers are all the same, so that their spread measures nothing."""
        return self.spread <= _ALIKE * self.magnitude

    @property
    def scale(self) -> float:
        """What a distance of 1 is: the spread, and of answers that are all alike their own size."""
        if self._scale is not None:
            return self._scale
        if not self.alike:
            return self.spread
        # Answers that are all zero have no size either.
        return self.magnitude or 1.0

    @property
    def distance(self) -> float:
        """Root mean square error as a share of :attr:`scale`: 0 is the same, infinity no number.

        What rounding alone can do does not count, however small the spread is.
        """
        rounding = _ROUNDING**2 * self._squares
        counted = max(0.0, self._error - rounding)
        apart = math.sqrt(counted / max(1, self._numbers)) / self.scale
        return _finite(apart)


def squared_error(answer: Rows, exact: Rows) -> float:
    """Return the sum of squared differences, infinite where the shapes are not the same."""
    if answer.shape != exact.shape:
        return math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        error = _sum_of_squares(answer.astype(np.float64) - exact)
    return _finite(error)


def _sum_of_squares(numbers: NDArray[np.float64]) -> float:
    return float(np.square(numbers).sum())


def _finite(number: float) -> float:
    """Return what is no number as infinity: a comparison with it would be neither true nor false."""
    if math.isfinite(number):
        return number
    return math.inf


def distance(answers: Sequence[Rows], truth: Sequence[Rows]) -> float:
    """Compare answers with what they should be. Exact ones that are no numbers make it infinite."""
    comparison = Comparison()
    for answer, exact in zip(answers, truth, strict=True):
        comparison.add(answer, exact)
    if comparison.broken:
        return math.inf
    return comparison.distance
