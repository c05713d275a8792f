"""Rows of like spread together, several small numbers to a byte: for integers of a few bits.

Rows whose steps follow their importance differ in how large their integers are, and one code for all of them
is longer than a code for each kind. So rows are put into groups by their mean magnitude, and each group is a
separate stream with its own code. In a group that hardly leaves −L … L, values are clamped to that range and
written as digits of a number in base 2·L + 1, as many as fit a byte: a byte then carries enough information
for a Huffman code, which cannot spend less than one bit on it. What was clamped off (the excess) follows in
the last stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prensa.codecs.base import expect_sizes
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream
from prensa.ops.parallel import map_parallel, row_blocks

_DIGITS = {1: 5, 2: 3, 3: 2, 7: 2, 127: 1}
"""For each limit L, how many digits in base 2·L + 1 fit a byte."""

_MOST = 127
"""The largest magnitude, which is also the limit that nothing exceeds."""

# Values of a group, at least: fewer would not pay for their own code.
_GROUP = 1 << 15
_GROUPS = 24

# Mean magnitude from which on it is not tried: larger integers have nothing to gain, and the search is slow.
_SMALL = 8

_MATRIX = 2
"""Dimensions of a matrix."""

_FEWEST_STREAMS = 4
"""The rows' groups, the groups' limits, the digits of one group, and the excess."""

Integers = NDArray[np.int8]


@dataclass(frozen=True)
class _Group:
    """The values of a group: its limit, the digits of the clamped values, and the excess."""

    limit: int
    digits: Bytes
    excess: Bytes


class Rows:
    """Each row's group, each group's limit L, the digits of each group, and the excess."""

    name = "rows"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it on matrices of small integers that do not hold −128."""
        if not _fits(tensor):
            return False
        total = _row_magnitudes(tensor.numpy()).sum()
        return bool(total < _SMALL * tensor.numel())

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Group the rows and code each group. Raises :class:`ValueError` for anything but −127 … 127."""
        if not _fits(tensor):
            raise ValueError(f"expected a matrix of int8 without −128, found {tensor.dtype}")
        values: Integers = tensor.contiguous().numpy()
        groups = _group(values)
        members = []
        for number in range(groups.max() + 1):
            rows = values[groups == number]
            members.append(rows.reshape(-1))
        packed = map_parallel(_pack_smallest, members)

        limits = []
        digits = []
        excess = []
        for group in packed:
            limits.append(group.limit)
            digits.append(group.digits)
            excess.append(group.excess)
        contents = [groups, np.array(limits, dtype=np.uint8), *digits, np.concatenate(excess)]
        return map_parallel(_encode_thoroughly, contents)

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the groups back into their rows."""
        is_matrix = len(shape) == _MATRIX and dtype == torch.int8
        if not is_matrix or len(streams) < _FEWEST_STREAMS:
            raise FormatError(f"expected a matrix of int8 in four streams or more, found {len(streams)}")
        rows, columns = shape
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
        excess = entropy.decode(streams[-1])
        for group, size in enumerate(sizes):
            limit = int(limits[group])
            digits = entropy.decode(coded_digits[group])
            group_values = _unpack(digits, limit, size)
            # Each group takes the excess of its own values from the front and leaves the rest to the next.
            excess = _add_excess(group_values, limit, excess)
            values[groups == group] = group_values.reshape(-1, columns)
        if len(excess):
            raise FormatError(f"{len(excess)} values more were clamped than there are at the limits")
        return torch.from_numpy(values)


def _fits(tensor: Tensor) -> bool:
    is_matrix = tensor.dim() == _MATRIX and tensor.numel() > 0
    if not is_matrix or tensor.dtype != torch.int8:
        return False
    # −128 has no counterpart among the digits, and its magnitude overflows int8.
    return int(tensor.min()) >= -_MOST


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
        nbytes.append(_whole_bytes(size, _DIGITS[limit]))
    return nbytes


def _whole_bytes(count: int, digits: int) -> int:
    """Divide and round up."""
    return -(-count // digits)


def _row_magnitudes(values: Integers) -> NDArray[np.int64]:
    """Return the sum of each row's magnitudes ``[rows]``."""

    def magnitudes(block: slice) -> NDArray[np.int64]:
        sums: NDArray[np.int64] = np.abs(values[block]).sum(axis=1, dtype=np.int64)
        return sums

    return np.concatenate(map_parallel(magnitudes, row_blocks(*values.shape)))


def _group(values: Integers) -> Bytes:
    """Give each row its group, ``[rows]``: equal shares of the rows in the order of their magnitudes."""
    large_enough = values.size // _GROUP
    count = max(1, min(_GROUPS, large_enough, len(values)))
    # Stable: rows of equal magnitude stay in order, so that the same matrix gives the same bytes everywhere.
    order = np.argsort(_row_magnitudes(values), kind="stable")
    groups = np.empty(len(values), dtype=np.uint8)
    for group, members in enumerate(np.array_split(order, count)):
        groups[members] = group
    return groups


def _pack_smallest(values: Integers) -> _Group:
    """Pack a group with the limit that makes it smallest."""
    # A limit twice the largest magnitude wastes digits; if all are zero, the smallest limit is the one to
    # try.
    largest = int(np.abs(values).max(initial=0))
    too_large = 2 * max(largest, 1)
    best = None
    fewest_bytes = 0
    for limit in _DIGITS:
        if limit >= too_large:
            continue
        group = _Group(limit, _pack(values, limit), _excess(values, limit))
        # Coded without the search for repetitions: it is slow, and the order of the limits hardly changes.
        nbytes = entropy.encode(group.digits).nbytes
        nbytes += entropy.encode(group.excess).nbytes
        if best is None or nbytes < fewest_bytes:
            best = group
            fewest_bytes = nbytes
    assert best is not None  # noqa: S101  the smallest limit is below twice any magnitude
    return best


def _encode_thoroughly(data: Bytes) -> Stream:
    return entropy.encode(data, thorough=True)


def _pack(values: Integers, limit: int) -> Bytes:
    """Write values, clamped to the limit, as digits; the first of a byte is its lowest."""
    digits = _DIGITS[limit]
    base = 2 * limit + 1
    count = _whole_bytes(len(values), digits)
    # The last byte is filled up with digits 0. A byte holds at most base**digits − 1, which is less than 256.
    padded = np.zeros(count * digits, dtype=np.uint8)
    clamped = np.clip(values, -limit, limit)
    # In 16 bits: −127 + 127 … 127 + 127 does not fit int8.
    filled = padded[: len(values)]
    np.add(clamped, limit, out=filled, casting="unsafe", dtype=np.int16)
    places = base ** np.arange(digits)
    packed: Bytes = padded.reshape(-1, digits) @ places.astype(np.uint8)
    return packed


def _unpack(data: Bytes, limit: int, size: int) -> Integers:
    digits = _DIGITS[limit]
    base = 2 * limit + 1
    numbers = base**digits
    if len(data) and data.max() >= numbers:
        raise FormatError(f"a byte holds {data.max()}, expected less than {numbers}")
    # A table of all bytes: looking digits up is faster than dividing for each value.
    columns = []
    for place in range(digits):
        shifted = np.arange(numbers) // base**place
        digit = shifted % base
        columns.append(digit - limit)
    table = np.stack(columns, axis=1).astype(np.int8)
    # The last byte may hold more digits than there are values.
    return table[data].reshape(-1)[:size]


def _excess(values: Integers, limit: int) -> Bytes:
    """Return by how much each value at or beyond the limit is beyond it."""
    if limit == _MOST:
        return np.empty(0, np.uint8)
    magnitude = np.abs(values)
    # Values exactly at the limit have the excess 0: a reader cannot tell them from clamped ones.
    clamped = magnitude[magnitude >= limit]
    return (clamped - limit).astype(np.uint8)


def _add_excess(values: Integers, limit: int, excess: Bytes) -> Bytes:
    """Add the excess to the values at the limit, in place, and return what is left for other groups."""
    if limit == _MOST:
        return excess
    at_limit = np.flatnonzero(np.abs(values) == limit)
    count = len(at_limit)
    own = excess[:count]
    # More than that would leave int8 and come back with the wrong sign.
    is_too_large = own.max(initial=0) > _MOST - limit
    if len(own) < count or is_too_large:
        raise FormatError(f"{count} values at a limit, but their excess is missing or too large")
    signs = np.sign(values[at_limit])
    values[at_limit] += signs * own.astype(np.int8)
    return excess[count:]
