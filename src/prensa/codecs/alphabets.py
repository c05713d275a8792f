"""Several small integers as one byte, in ways that a Huffman code of bytes then makes short.

A Huffman code spends a whole number of bits on each byte, and never less than one. So a byte has to carry
several bits of information, and that takes several integers. Which way is best depends on how many of them
are zero:

* :class:`Digits` writes a fixed number of integers as digits of one number.
* :class:`Runs` writes how many zeros come, and then the integer that ends them. Where nine of ten integers
  are zero, a byte so holds ten, and no byte is so common that one bit is too much for it.

Both know magnitudes up to a limit only. What is beyond (the excess) is kept apart, see :func:`excess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.errors import FormatError
from prensa.ops.entropy import Bytes

MOST = 127
"""The largest magnitude, which is also the limit that nothing exceeds."""

_BYTE = 256
"""How many symbols a byte can tell apart."""

# Symbols that are read at once: their positions take eight bytes each.
_CHUNK = 1 << 17

Integers = NDArray[np.int8]


class Alphabet(Protocol):
    """A way to write integers −limit … limit as bytes and back."""

    @property
    def limit(self) -> int:
        """The largest magnitude it can write."""

    def write(self, values: Integers) -> Bytes:
        """Write integers −127 … 127 ``[n]``, each limited to its range."""

    def may_take(self, nbytes: int, size: int) -> bool:
        """Whether so many bytes can hold ``size`` integers: asked before there is memory for either."""

    def read(self, data: Bytes, size: int) -> Integers:
        """Read ``size`` integers. Raises :class:`FormatError` if ``data`` cannot hold just that many."""


@dataclass(frozen=True)
class Digits:
    """``count`` integers to a byte, as digits in base 2·limit + 1; the first one is the lowest digit."""

    limit: int
    count: int

    @property
    def _base(self) -> int:
        return 2 * self.limit + 1

    def write(self, values: Integers) -> Bytes:
        """Write integers as digits; the last byte is filled up with digits 0."""
        padded = np.zeros(self.nbytes(len(values)) * self.count, dtype=np.uint8)
        clamped = np.clip(values, -self.limit, self.limit)
        filled = padded[: len(values)]
        # In 16 bits: −127 + 127 … 127 + 127 does not fit int8.
        np.add(clamped, self.limit, out=filled, casting="unsafe", dtype=np.int16)
        # A byte holds at most base**count − 1, which is less than 256.
        places = self._base ** np.arange(self.count)
        packed: Bytes = padded.reshape(-1, self.count) @ places.astype(np.uint8)
        return packed

    def nbytes(self, size: int) -> int:
        """Return how many bytes hold ``size`` integers."""
        return -(-size // self.count)

    def may_take(self, nbytes: int, size: int) -> bool:
        """Whether the number of bytes is the one that follows from the size."""
        return nbytes == self.nbytes(size)

    def read(self, data: Bytes, size: int) -> Integers:
        """Look each byte up in a table of all of them: that is faster than dividing for each integer."""
        numbers = self._base**self.count
        _expect_below(data, numbers)
        columns = []
        for place in range(self.count):
            shifted = np.arange(numbers) // self._base**place
            digit = shifted % self._base
            columns.append(digit - self.limit)
        table = np.stack(columns, axis=1).astype(np.int8)
        # ``take`` copies whole rows of the table; indexing with ``data`` would go digit by digit, and takes
        # seven times as long. Two digits are one number of 16 bits: that is faster still.
        if self.count == np.dtype(np.uint16).itemsize:
            digits = np.take(table.view(np.uint16).reshape(-1), data).view(np.int8)
        else:
            digits = np.take(table, data, axis=0).reshape(-1)
        # The last byte may hold more digits than there are values.
        return digits[:size]


@dataclass(frozen=True)
class Runs:
    """A byte is a run of zeros and the integer behind it, or one symbol for as many zeros as a run can have.

    With R runs (0 … R − 1 zeros) and v one of the 2·limit integers that are not zero, the byte is
    run · 2·limit + v − 1 for positive v and run · 2·limit + limit − v − 1 for negative ones. The byte
    R · 2·limit stands for R zeros, and nothing behind them.
    """

    limit: int

    @property
    def _signed(self) -> int:
        """How many integers are not zero."""
        return 2 * self.limit

    @property
    def _longest(self) -> int:
        """R: one symbol is for R zeros, and the others are shared by all runs and integers."""
        return (_BYTE - 1) // self._signed

    @property
    def _zeros(self) -> int:
        """The symbol of R zeros."""
        return self._longest * self._signed

    def write(self, values: Integers) -> Bytes:
        """Write integers; zeros at the end are written as one symbol more, which may stand for too many."""
        places = np.flatnonzero(values)
        before = np.diff(places, prepend=-1) - 1
        full, rest = np.divmod(before, self._longest)
        # Each integer takes the symbols of its full runs, and then its own.
        own_symbol = np.cumsum(full + 1) - 1
        last = places[-1] if len(places) else -1
        behind = len(values) - 1 - last
        count = len(places) + int(full.sum()) + -(-behind // self._longest)

        symbols = np.full(count, self._zeros, dtype=np.uint8)
        clamped = np.clip(values[places], -self.limit, self.limit).astype(np.int64)
        integer = np.where(clamped > 0, clamped, self.limit - clamped) - 1
        symbols[own_symbol] = rest * self._signed + integer
        return symbols

    def may_take(self, nbytes: int, size: int) -> bool:
        """Whether there is no byte without an integer, and none has more than it can."""
        return nbytes <= size <= nbytes * self._longest

    def read(self, data: Bytes, size: int) -> Integers:
        """Add up the runs, and put each integer behind its own."""
        _expect_below(data, self._zeros + 1)
        steps, integers = self._tables()
        # Zeros at the very end may be more than are needed.
        values = np.zeros(size + self._longest, dtype=np.int8)
        end = 0
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            ends = np.cumsum(np.take(steps, chunk)) + end
            end = int(ends[-1])
            if end > len(values):
                raise FormatError(f"its runs are longer than the {size} values they stand for")
            # The symbol of R zeros has one more of them for its integer, so that all are written alike.
            values[ends - 1] = np.take(integers, chunk)
        needed = end
        if len(data) and data[-1] == self._zeros:
            needed -= self._longest - 1
        if not needed <= size <= end:
            raise FormatError(f"its runs stand for {end} values, expected {size}")
        return values[:size]

    def _tables(self) -> tuple[NDArray[np.int64], Integers]:
        """Return for each symbol how many integers it stands for, and the last of them."""
        runs, signed = np.divmod(np.arange(self._zeros + 1), self._signed)
        steps = runs + 1
        steps[self._zeros] = self._longest
        integers = np.where(signed < self.limit, signed + 1, self.limit - 1 - signed)
        integers[self._zeros] = 0
        return steps, integers.astype(np.int8)


def _expect_below(data: Bytes, numbers: int) -> None:
    if len(data) and data.max() >= numbers:
        raise FormatError(f"a byte holds {data.max()}, expected less than {numbers}")


def excess(values: Integers, limit: int) -> Bytes:
    """Return by how much the magnitude of each value at or beyond the limit is beyond it."""
    if limit == MOST:
        return np.empty(0, np.uint8)
    magnitude = np.abs(values)
    # Values exactly at the limit have the excess 0: a reader cannot tell them from clamped ones.
    clamped = magnitude[magnitude >= limit]
    return (clamped - limit).astype(np.uint8)


def add_excess(values: Integers, limit: int, data: Bytes) -> Bytes:
    """Add the excess to the values at the limit, in place, and return what is left for others.

    Raises :class:`FormatError` if some is missing, or makes a magnitude larger than 127.
    """
    if limit == MOST:
        return data
    at_limit = np.flatnonzero(np.abs(values) == limit)
    count = len(at_limit)
    own = data[:count]
    # More than that would leave int8 and come back with the wrong sign.
    is_too_large = own.max(initial=0) > MOST - limit
    if len(own) < count or is_too_large:
        raise FormatError(f"{count} values at a limit, but their excess is missing or too large")
    signs = np.sign(values[at_limit])
    values[at_limit] += signs * own.astype(np.int8)
    return data[count:]
