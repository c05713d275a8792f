"""Cells of like spread together, several small numbers to a byte: for integers of a few bits.

Steps that follow what a row is worth leave rows of very different magnitudes, and columns differ, too. So
integers are put into groups by row and column (:mod:`prensa.codecs.levels`), and each group is a separate
stream with a separate code, in whichever alphabet makes it shortest (:mod:`prensa.codecs.alphabets`). This
takes the place of ``rows``, which knows no columns and no runs of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from prensa.codecs.alphabets import MOST, Alphabet, Digits, Integers, Runs, add_excess
from prensa.codecs.base import expect_sizes
from prensa.codecs.groups import expect_matrix, integers_of, shortest
from prensa.codecs.levels import (
    Grid,
    fits,
    grid_of,
    group_sizes,
    is_small,
    ordered,
    partition,
    read_grid,
    unordered,
)
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream
from prensa.ops.parallel import map_parallel

ALPHABETS: dict[int, Alphabet] = {
    2: Digits(2, 3),
    3: Digits(3, 2),
    4: Digits(4, 2),
    5: Digits(5, 2),
    6: Digits(6, 2),
    7: Digits(7, 2),
    127: Digits(MOST, 1),
    129: Runs(1),
    130: Runs(2),
    131: Runs(3),
}
"""By the number that stands for them in a file: the limit, and 128 more for runs."""

_BYTES_OF_A_GROUP = 2
"""Its last level, and its alphabet."""


class Cells:
    """The levels of rows and columns, each group's last level and alphabet, the groups, and the excess."""

    name = "cells"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it on matrices of small integers that do not hold −128."""
        return fits(tensor) and is_small(tensor.numpy())

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Group the cells and code each group. Raises :class:`ValueError` for anything but −127 … 127."""
        values = integers_of(tensor)
        grid = grid_of(values)
        values = ordered(values, grid)
        lasts = partition(values, grid)
        members = []
        first = 0
        for last in lasts:
            members.append(_members(values, grid, first, last))
            first = last + 1
        packed = map_parallel(partial(shortest, alphabets=ALPHABETS), members)

        levels = np.concatenate([grid.rows, grid.columns]).astype(np.uint8)
        heads = []
        symbols = []
        beyond = []
        for last, group in zip(lasts, packed, strict=True):
            heads += [last, group.alphabet]
            symbols.append(group.symbols)
            beyond.append(group.excess)
        contents = [levels, np.array(heads, dtype=np.uint8), *symbols, np.concatenate(beyond)]
        return map_parallel(entropy.encode, contents)

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the groups back into their cells."""
        rows, columns = expect_matrix(streams, shape, dtype)
        if not rows * columns:
            raise FormatError(f"expected a matrix that is not empty, found {list(shape)}")
        coded = streams[2:-1]
        expect_sizes(streams[:2], [rows + columns, _BYTES_OF_A_GROUP * len(coded)])
        grid = read_grid(entropy.decode(streams[0]), rows)
        heads = entropy.decode(streams[1]).reshape(-1, _BYTES_OF_A_GROUP)
        lasts = heads[:, 0].tolist()
        sizes = group_sizes(grid, lasts)
        alphabets = _alphabets(heads[:, 1])

        # What each group holds follows from its levels: no group is decoded before all sizes are possible.
        for stream, size, alphabet in zip(coded, sizes, alphabets, strict=True):
            if not alphabet.may_take(stream.size, size):
                raise FormatError(f"{stream.size} bytes cannot hold a group of {size} values")
        if streams[-1].size > rows * columns:
            raise FormatError(f"{streams[-1].size} values were clamped, of {rows * columns}")

        values = np.empty((rows, columns), dtype=np.int8)
        left = entropy.decode(streams[-1])
        first = 0
        for stream, size, alphabet, last in zip(coded, sizes, alphabets, lasts, strict=True):
            group = alphabet.read(entropy.decode(stream), size)
            # Each group takes the excess of its own values from the front and leaves the rest to the next.
            left = add_excess(group, alphabet.limit, left)
            _put_back(values, group, grid, first, last)
            first = last + 1
        if len(left):
            raise FormatError(f"{len(left)} values more were clamped than there are at the limits")
        return torch.from_numpy(unordered(values, grid))


def _members(values: Integers, grid: Grid, first: int, last: int) -> Integers:
    """Return the integers of the levels ``first`` … ``last``, block after block."""
    members = []
    for rows, columns in grid.blocks(first, last):
        members.append(values[rows, columns].reshape(-1))
    return np.concatenate(members)


def _put_back(values: Integers, group: Integers, grid: Grid, first: int, last: int) -> None:
    """Write a group's integers into its blocks of the ordered matrix."""
    start = 0
    for rows, columns in grid.blocks(first, last):
        block = values[rows, columns]
        stop = start + block.size
        block[:] = group[start:stop].reshape(block.shape)
        start = stop


def _alphabets(numbers: Bytes) -> list[Alphabet]:
    """Look the groups' alphabets up. Raises :class:`FormatError` for one that is not known."""
    alphabets = []
    for number in numbers.tolist():
        if number not in ALPHABETS:
            known = ", ".join(map(str, ALPHABETS))
            raise FormatError(f"its groups are damaged: expected alphabets among {known}, found {number}")
        alphabets.append(ALPHABETS[number])
    return alphabets
