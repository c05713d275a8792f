"""How large the integers of a matrix are, by row and by column, and which of them share a code.

A weight's integer is about as large as its row's spread times its column's. So each row has a level and
each column has one, in steps of a third of an octave, and an integer's level is the sum of the two: integers
of one level have nearly one distribution, wherever in the matrix they are. Neighbouring levels are joined to
groups as long as a further code would cost more than it saves. See ``docs/LOG.md`` for what else was tried:
integers that are near each other in the matrix know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prensa.codecs.alphabets import MOST, Integers
from prensa.errors import FormatError
from prensa.ops.entropy import Bytes
from prensa.ops.parallel import map_parallel, row_blocks

HIGHEST = 127
"""The highest level of a row or a column: the sum of two then fits a byte."""

# Within a third of an octave a code is some 0.2 % longer than it could be; finer levels cost as much.
_LEVELS_PER_OCTAVE = 3

# Rows smaller than the largest by more than that are all the same: zeros.
_OCTAVES = 20

# What a row of zeros has for a magnitude, so that there is a logarithm.
_ALMOST_NONE = 0.1

# What a group costs beside its symbols: its code table, the frame's own header and a place in the tensor's.
_BYTES_OF_A_GROUP = 110

_SYMBOLS = 256

# Mean magnitude from which on it is not tried: larger integers have nothing to gain, and the search is slow.
_SMALL = 8

_MATRIX = 2
"""Dimensions of a matrix."""

Levels = NDArray[np.int64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """A matrix by its levels: ``rows`` ``[rows]`` and ``columns`` ``[columns]``, from 0 on.

    In the order of their levels, the rows of one level and the columns of one level meet in a block.
    """

    rows: Levels
    columns: Levels

    @property
    def count(self) -> int:
        """Number of levels that the integers have."""
        return int(self.rows.max()) + int(self.columns.max()) + 1

    def sizes(self) -> Counts:
        """Return how many integers each level has, ``[count]``."""
        return np.convolve(np.bincount(self.rows), np.bincount(self.columns))

    def blocks(self, first: int, last: int) -> Iterator[tuple[slice, slice]]:
        """Yield the blocks of the ordered matrix that hold the levels ``first`` … ``last``, by level of rows.

        Columns whose levels follow on each other lie together, so there is one block for each level of rows.
        """
        row_starts = _starts(self.rows)
        column_starts = _starts(self.columns)
        highest = len(column_starts) - 2
        for level in range(len(row_starts) - 1):
            lowest_column = max(first - level, 0)
            highest_column = min(last - level, highest)
            if lowest_column > highest_column:
                continue
            rows = slice(row_starts[level], row_starts[level + 1])
            columns = slice(column_starts[lowest_column], column_starts[highest_column + 1])
            yield rows, columns


def fits(tensor: Tensor) -> bool:
    """Whether this is a matrix of int8, not empty and without −128."""
    is_matrix = tensor.dim() == _MATRIX and tensor.numel() > 0
    if not is_matrix or tensor.dtype != torch.int8:
        return False
    # −128 has no counterpart of the other sign, and its magnitude overflows int8.
    return int(tensor.min()) >= -MOST


def is_small(values: Integers) -> bool:
    """Whether integers are so small on average that several fit a byte."""
    of_rows, _ = magnitudes(values)
    return bool(of_rows.sum() < _SMALL * values.size)


def grid_of(values: Integers) -> Grid:
    """Find the levels of a matrix's rows and columns from the sums of their magnitudes.

    If magnitudes are products of a number for the row and one for the column, the sums are proportional to
    them.
    """
    row_sums, column_sums = magnitudes(values)
    columns = values.shape[1]
    per_row = (row_sums + _ALMOST_NONE) / columns
    per_column = (column_sums + _ALMOST_NONE) / (row_sums.sum() + _ALMOST_NONE * columns)
    return Grid(_levels(per_row), _levels(per_column))


def _levels(means: NDArray[np.float64]) -> Levels:
    """Return levels from 0 on."""
    levels = np.round(np.log2(means) * _LEVELS_PER_OCTAVE).astype(np.int64)
    lowest = levels.max() - _OCTAVES * _LEVELS_PER_OCTAVE
    raised = np.maximum(levels, lowest)
    from_zero: Levels = raised - raised.min()
    return from_zero


def magnitudes(values: Integers) -> tuple[Counts, Counts]:
    """Return the sums of magnitudes of the rows and of the columns."""

    def sums(rows: slice) -> tuple[Counts, Counts]:
        block = np.abs(values[rows])
        return block.sum(axis=1, dtype=np.int64), block.sum(axis=0, dtype=np.int64)

    of_blocks = map_parallel(sums, row_blocks(*values.shape))
    of_rows = []
    of_columns = np.zeros(values.shape[1], dtype=np.int64)
    for rows, columns in of_blocks:
        of_rows.append(rows)
        of_columns += columns
    return np.concatenate(of_rows), of_columns


def ordered(values: Integers, grid: Grid) -> Integers:
    """Put rows and columns in the order of their levels."""
    return _taken(values, _order(grid.rows), _order(grid.columns))


def unordered(values: Integers, grid: Grid) -> Integers:
    """Put rows and columns back where they were."""
    return _taken(values, _inverse(_order(grid.rows)), _inverse(_order(grid.columns)))


def _order(levels: Levels) -> NDArray[np.int64]:
    # Stable: what is of one level stays in order, so that a reader finds the same order.
    return np.argsort(levels, kind="stable")


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


def _taken(values: Integers, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Integers:
    """Return the matrix with these rows and columns, in blocks that stay in the cache."""
    result = np.empty_like(values)

    def take(block: slice) -> None:
        # Told what to do with a wrong index, NumPy writes to ``out`` at once: there are none.
        np.take(values[rows[block]], columns, axis=1, out=result[block], mode="clip")

    map_parallel(take, row_blocks(*values.shape))
    return result


def _starts(levels: Levels) -> list[int]:
    """Return where each level begins among the ordered ones, and the end of the last."""
    return [0, *np.cumsum(np.bincount(levels)).tolist()]


def partition(values: Integers, grid: Grid) -> list[int]:
    """Return the last level of each group, so that codes and their tables together are shortest.

    ``values`` are ordered. Takes the entropy of a group for the length of its code, and tries all ways to cut
    the levels by dynamic programming: a way that is best up to some level has a best way before it.
    """
    cumulated = np.cumsum(_histograms(values, grid), axis=0)
    before = np.zeros((1, _SYMBOLS), dtype=np.int64)
    cumulated = np.concatenate([before, cumulated])

    shortest = np.zeros(len(cumulated))
    cut_before = np.zeros(len(cumulated), dtype=np.int64)
    for stop in range(1, len(cumulated)):
        groups = cumulated[stop] - cumulated[:stop]
        lengths = shortest[:stop] + _code_bytes(groups) + _BYTES_OF_A_GROUP
        cut_before[stop] = lengths.argmin()
        shortest[stop] = lengths.min()

    lasts = []
    stop = len(cumulated) - 1
    while stop:
        lasts.append(stop - 1)
        stop = int(cut_before[stop])
    return lasts[::-1]


def _histograms(values: Integers, grid: Grid) -> Counts:
    """Count the integers of each level, ``[levels, 256]``, by the byte that each of them is."""
    counts = np.zeros((grid.count, _SYMBOLS), dtype=np.int64)
    for level in range(grid.count):
        for rows, columns in grid.blocks(level, level):
            block = values[rows, columns]
            # In parts: counting widens each integer to eight bytes.
            for part in row_blocks(*block.shape):
                members = block[part].reshape(-1).view(np.uint8)
                counts[level] += np.bincount(members, minlength=_SYMBOLS)
    return counts


def _code_bytes(histograms: Counts) -> NDArray[np.float64]:
    """Return the entropy of each histogram ``[n, symbols]``, in bytes for all that it counts."""
    totals = histograms.sum(axis=1)
    # n·log2(n) is zero where nothing was counted.
    of_totals = totals * np.log2(np.maximum(totals, 1))
    of_symbols = histograms * np.log2(np.maximum(histograms, 1))
    bits: NDArray[np.float64] = of_totals - of_symbols.sum(axis=1)
    return bits / 8


def read_grid(levels: Bytes, rows: int) -> Grid:
    """Take the levels of ``rows`` rows, and then those of columns.

    Raises :class:`FormatError` if one is too high.
    """
    if levels.max() > HIGHEST:
        raise FormatError(f"its levels are damaged: expected at most {HIGHEST}, found {levels.max()}")
    widened = levels.astype(np.int64)
    return Grid(widened[:rows], widened[rows:])


def group_sizes(grid: Grid, lasts: Sequence[int]) -> list[int]:
    """Return how many integers each group has.

    Raises :class:`FormatError` unless the groups' last levels rise up to the highest level there is.
    """
    rises = all(lower < higher for lower, higher in pairwise(lasts))
    if not rises or lasts[-1] != grid.count - 1:
        raise FormatError(f"its groups are damaged: expected levels up to {grid.count - 1}, found {lasts}")
    up_to = np.cumsum(grid.sizes())[list(lasts)]
    sizes: list[int] = np.diff(up_to, prepend=0).tolist()
    return sizes
