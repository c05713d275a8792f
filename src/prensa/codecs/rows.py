"""Rows of like spread together, several small numbers to a byte: for integers of a few bits.

Rows whose steps follow their importance differ in how large their integers are, and one code for all of them
is longer than a code for each kind. So rows are put into groups by their mean magnitude, and each group is a
separate stream with its own code. In a group that hardly leaves −L … L, values are clamped to that range and
written as digits of a number in base 2·L + 1, as many as fit a byte: a byte then carries enough information
for a Huffman code, which cannot spend less than one bit on it. What was clamped off (the excess) follows in
the last stream.

``cells`` takes its place in new files: it knows columns, too. This one is for files that have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from prensa.codecs.alphabets import MOST, Digits, Integers, add_excess
from prensa.codecs.base import expect_sizes
from prensa.codecs.groups import expect_matrix, integers_of, shortest
from prensa.codecs.levels import fits, is_small, magnitudes
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream
from prensa.ops.parallel import map_parallel

_DIGITS = {1: Digits(1, 5), 2: Digits(2, 3), 3: Digits(3, 2), 7: Digits(7, 2), MOST: Digits(MOST, 1)}
"""For each limit L, as many digits in base 2·L + 1 as fit a byte."""

# Values of a group, at least: fewer would not pay for their own code.
_GROUP = 1 << 15
_GROUPS = 24


class Rows:
    """Each row's group, each group's limit L, the digits of each group, and the excess."""

    name = "rows"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it on matrices of small integers that do not hold −128."""
        return fits(tensor) and is_small(tensor.numpy())

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Group the rows and code each group. Raises :class:`ValueError` for anything but −127 … 127."""
        values = integers_of(tensor)
        groups = _group(values)
        members = []
        for number in range(groups.max() + 1):
            rows = values[groups == number]
            members.append(rows.reshape(-1))
        packed = map_parallel(partial(shortest, alphabets=_DIGITS), members)

        limits = []
        digits = []
        beyond = []
        for group in packed:
            limits.append(group.alphabet)
            digits.append(group.symbols)
            beyond.append(group.excess)
        contents = [groups, np.array(limits, dtype=np.uint8), *digits, np.concatenate(beyond)]
        return map_parallel(_encode_thoroughly, contents)

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the groups back into their rows."""
        rows, columns = expect_matrix(streams, shape, dtype)
        coded_digits = streams[2:-1]
        count = len(coded_digits)

        expect_sizes(streams[:2], [rows, count])
        groups = entropy.decode(streams[0])
        limits = entropy.decode(streams[1])
        _check_groups(groups, limits)

        # What each group holds follows from its rows, so that nothing a stream says of its size is believed.
        rows_of_groups = np.bincount(groups, minlength=count)
        sizes = [columns * group_rows for group_rows in rows_of_groups.tolist()]
        expect_sizes(coded_digits, _digit_bytes(sizes, limits))
        if streams[-1].size > rows * columns:
            raise FormatError(f"{streams[-1].size} values were clamped, of {rows * columns}")

        values = np.empty((rows, columns), dtype=np.int8)
        left = entropy.decode(streams[-1])
        for group, size in enumerate(sizes):
            limit = int(limits[group])
            digits = entropy.decode(coded_digits[group])
            group_values = _DIGITS[limit].read(digits, size)
            # Each group takes the excess of its own values from the front and leaves the rest to the next.
            left = add_excess(group_values, limit, left)
            values[groups == group] = group_values.reshape(-1, columns)
        if len(left):
            raise FormatError(f"{len(left)} values more were clamped than there are at the limits")
        return torch.from_numpy(values)


def _check_groups(groups: Bytes, limits: Bytes) -> None:
    """Raise :class:`FormatError` unless all limits are known and no row is in a group that is not there."""
    has_unknown_limit = not set(limits.tolist()) <= _DIGITS.keys()
    has_unknown_group = groups.max(initial=0) >= max(len(limits), 1)
    if has_unknown_limit or has_unknown_group:
        known = ", ".join(map(str, _DIGITS))
        raise FormatError(f"its groups are damaged: expected {len(limits)} with limits {known}")


def _digit_bytes(sizes: Sequence[int], limits: Bytes) -> list[int]:
    """Return how many bytes hold the digits of groups of so many values."""
    nbytes = []
    for size, limit in zip(sizes, limits.tolist(), strict=True):
        nbytes.append(_DIGITS[limit].nbytes(size))
    return nbytes


def _group(values: Integers) -> Bytes:
    """Give each row its group, ``[rows]``: equal shares of the rows in the order of their magnitudes."""
    large_enough = values.size // _GROUP
    count = max(1, min(_GROUPS, large_enough, len(values)))
    of_rows, _ = magnitudes(values)
    # Stable: rows of equal magnitude stay in order, so that the same matrix gives the same bytes everywhere.
    order = np.argsort(of_rows, kind="stable")
    groups = np.empty(len(values), dtype=np.uint8)
    for group, members in enumerate(np.array_split(order, count)):
        groups[members] = group
    return groups


def _encode_thoroughly(data: Bytes) -> Stream:
    return entropy.encode(data, thorough=True)
