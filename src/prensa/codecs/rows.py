"""Rows of like spread together, several small numbers to a byte: for integers of a few bits.

Rows whose steps follow their importance differ in how large their integers are, and one code for all of them
is longer than a code for each kind. So rows are put into groups by their mean magnitude, and each group is a
stream of its own, with its own code. In a group that hardly leaves −L … L, values are cut off there and
written as digits of a number in base 2·L + 1, as many as fit a byte: a byte then has enough to say for a
Huffman code, which cannot spend less than one bit on it. What was cut off follows in the last stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prensa.codecs.base import expect_sizes
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream
from prensa.ops.parallel import map_parallel, pieces

_DIGITS = {1: 5, 2: 3, 3: 2, 7: 2, 127: 1}
"""For each limit L, how many digits in base 2·L + 1 fit a byte."""

_GROUP = 1 << 15  # values of a group, at least; fewer would not pay for a code of their own
_GROUPS = 24
_SMALL = 8  # mean magnitude; larger integers have nothing to gain, and the search for it is slow

Integers = npt.NDArray[np.int8]


class Rows:
    """Each row's group, each group's limit L, the digits of each group, and what was cut off."""

    name = "rows"

    def can_win(self, tensor: Tensor) -> bool:
        """Be tried on matrices of small integers, where −128 does not occur."""
        return _fits(tensor) and bool(_magnitudes(tensor.numpy()).sum() < _SMALL * tensor.numel())

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Group the rows and code each group. Raises :class:`ValueError` for anything but −127 … 127."""
        if not _fits(tensor):
            raise ValueError(f"expected a matrix of int8 without −128, found {tensor.dtype}")
        values: Integers = tensor.contiguous().numpy()
        groups = _group(values)
        parts = [values[groups == group].reshape(-1) for group in range(groups.max() + 1)]
        limits, digits, excess = zip(*map_parallel(_smallest, parts), strict=True)
        every = [groups, np.array(limits, dtype=np.uint8), *digits, np.concatenate(excess)]
        return map_parallel(partial(entropy.encode, thorough=True), every)

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the groups back into their rows."""
        if dtype != torch.int8 or len(shape) != 2 or len(streams) < 4:  # noqa: PLR2004
            raise FormatError(f"expected a matrix of int8 in four streams or more, found {len(streams)}")
        rows, columns = shape
        count = len(streams) - 3
        expect_sizes(streams[:2], [rows, count])
        groups, limits = entropy.decode(streams[0]), entropy.decode(streams[1])
        if any(limit not in _DIGITS for limit in limits) or (rows and groups.max() >= count):
            raise FormatError(
                f"its groups are damaged: expected {count} with limits {', '.join(map(str, _DIGITS))}"
            )
        sizes = [columns * size for size in np.bincount(groups, minlength=count).tolist()]
        expect_sizes(
            streams[2:-1],
            [-(-size // _DIGITS[int(limit)]) for size, limit in zip(sizes, limits, strict=True)],
        )
        if streams[-1].size > rows * columns:
            raise FormatError(f"{streams[-1].size} values were cut off, of {rows * columns}")
        values = np.empty((rows, columns), dtype=np.int8)
        rest = entropy.decode(streams[-1])
        for group, (limit, size) in enumerate(zip(limits.tolist(), sizes, strict=True)):
            part = _unpack(entropy.decode(streams[2 + group]), limit, size)
            rest = _add(part, limit, rest)
            values[groups == group] = part.reshape(-1, columns)
        if len(rest):
            raise FormatError(f"{len(rest)} values more were cut off than there are at the limits")
        return torch.from_numpy(values)


def _fits(tensor: Tensor) -> bool:
    is_matrix = tensor.dtype == torch.int8 and tensor.dim() == 2 and tensor.numel() > 0  # noqa: PLR2004
    return is_matrix and int(tensor.min()) > -128  # noqa: PLR2004


def _magnitudes(values: Integers) -> npt.NDArray[np.int64]:
    """Return the sum of each row's magnitudes ``[rows]``."""

    def magnitudes(rows: slice) -> npt.NDArray[np.int64]:
        sums: npt.NDArray[np.int64] = np.abs(values[rows]).sum(axis=1, dtype=np.int64)
        return sums

    return np.concatenate(map_parallel(magnitudes, pieces(*values.shape)))


def _group(values: Integers) -> Bytes:
    """Give each row its group, ``[rows]``: equal shares of the rows in the order of their magnitudes."""
    spread = _magnitudes(values)
    count = max(1, min(_GROUPS, values.size // _GROUP, len(values)))
    groups = np.empty(len(values), dtype=np.uint8)
    for group, members in enumerate(np.array_split(np.argsort(spread, kind="stable"), count)):
        groups[members] = group
    return groups


def _smallest(values: Integers) -> tuple[int, Bytes, Bytes]:
    """Choose the limit that makes a group smallest. Return it, the digits, and what was cut off."""

    def nbytes(choice: tuple[int, Bytes, Bytes]) -> int:
        return sum(entropy.encode(part).nbytes for part in choice[1:])

    largest = int(np.abs(values).max(initial=0))
    useful = [limit for limit in _DIGITS if limit / 2 < max(largest, 1)]
    choices = [(limit, _pack(values, limit), _excess(values, limit)) for limit in useful]
    return min(choices, key=nbytes)


def _pack(values: Integers, limit: int) -> Bytes:
    """Write values, cut off at the limit, as digits; the first of a byte is its lowest."""
    digits, base = _DIGITS[limit], 2 * limit + 1
    padded = np.zeros(-(-len(values) // digits) * digits, dtype=np.uint8)  # the largest byte is 3⁵ − 1
    np.add(np.clip(values, -limit, limit), limit, out=padded[: len(values)], casting="unsafe", dtype=np.int16)
    packed: Bytes = padded.reshape(-1, digits) @ (base ** np.arange(digits)).astype(np.uint8)
    return packed


def _unpack(data: Bytes, limit: int, size: int) -> Integers:
    digits, base = _DIGITS[limit], 2 * limit + 1
    if len(data) and data.max() >= base**digits:
        raise FormatError(f"a byte holds {data.max()}, expected less than {base**digits}")
    table = np.stack(
        [np.arange(base**digits) // base**place % base - limit for place in range(digits)], axis=1
    )
    return table.astype(np.int8)[data].reshape(-1)[:size]


def _excess(values: Integers, limit: int) -> Bytes:
    """Return by how much each value at or beyond the limit is beyond it."""
    magnitude = np.abs(values)
    return (magnitude[magnitude >= limit] - limit).astype(np.uint8) if limit < 127 else np.empty(0, np.uint8)  # noqa: PLR2004


def _add(values: Integers, limit: int, rest: Bytes) -> Bytes:
    """Add what was cut off to the values at the limit, in place, and return what is left for other groups."""
    if limit == 127:  # noqa: PLR2004
        return rest
    at = np.flatnonzero(np.abs(values) == limit)
    if len(rest) < len(at) or (len(at) and rest[: len(at)].max() > 127 - limit):
        raise FormatError(f"{len(at)} values at a limit, but what was cut off them is missing or too much")
    values[at] += np.sign(values[at]) * rest[: len(at)].astype(np.int8)
    return rest[len(at) :]
