"""Groups of integers that are coded apart, each in the alphabet that makes it shortest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prensa.codecs.alphabets import Alphabet, Integers, Runs, excess
from prensa.codecs.levels import fits
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream

# An integer takes longer to read from runs than from digits, so runs have to save a hundredth at least.
_RUNS_SAVE = 1.01

_MATRIX = 2
"""Dimensions of a matrix."""

_FEWEST_STREAMS = 4
"""Which group is where, what the groups are, the symbols of one group, and the excess."""


@dataclass(frozen=True)
class Group:
    """The values of a group: the number of their alphabet, their symbols, and the excess."""

    alphabet: int
    symbols: Bytes
    excess: Bytes


def integers_of(tensor: Tensor) -> Integers:
    """Return a matrix's integers. Raises :class:`ValueError` for anything but −127 … 127."""
    if not fits(tensor):
        raise ValueError(f"expected a matrix of int8 without −128, found {tensor.dtype}")
    integers: Integers = tensor.contiguous().numpy()
    return integers


def expect_matrix(streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> tuple[int, int]:
    """Return rows and columns. Raises :class:`FormatError` for what cannot be a matrix in groups."""
    is_matrix = len(shape) == _MATRIX and dtype == torch.int8
    if not is_matrix or len(streams) < _FEWEST_STREAMS:
        raise FormatError(f"expected a matrix of int8 in four streams or more, found {len(streams)}")
    rows, columns = shape
    return rows, columns


def shortest(values: Integers, alphabets: Mapping[int, Alphabet]) -> Group:
    """Write a group in the alphabet that makes it shortest, of those by their numbers."""
    # A limit twice the largest magnitude wastes symbols; if all are zero, the smallest limit is the one to
    # try.
    largest = int(np.abs(values).max(initial=0))
    too_large = 2 * max(largest, 1)
    best = None
    lowest_price = 0.0
    for number, alphabet in alphabets.items():
        if alphabet.limit >= too_large:
            continue
        group = Group(number, alphabet.write(values), excess(values, alphabet.limit))
        # Coded without the search for repetitions: it is slow, and the order hardly changes.
        price: float = entropy.encode(group.symbols).nbytes
        price += entropy.encode(group.excess).nbytes
        if isinstance(alphabet, Runs):
            price *= _RUNS_SAVE
        if best is None or price < lowest_price:
            best = group
            lowest_price = price
    assert best is not None  # noqa: S101  the smallest limit is below twice any magnitude
    return best
