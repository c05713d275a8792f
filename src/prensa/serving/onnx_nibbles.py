"""What an ONNX graph has in 8 bits, stored in 4 and given 8 again by the graph itself.

A row's integers are written as groups of 32: each is a multiplier times an integer of 4 bits, a nibble. Both
are so small that their product has 8 bits. Rows and columns keep the scales they had, and products the
kernels they had: matrices are unpacked when the graph is loaded, and of an embedding table the rows that are
looked up. ``MatMulNBits``, ONNX Runtime's own operator for weights of 4 bits, unpacks them for every answer.

Multipliers have signs, so that the end of a group that is farther from 0 takes the −8, which has no opposite
in 4 bits (as ``Q4_0`` of llama.cpp).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.serving.onnx_constants import is_large, store

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["near_in_nibbles", "pack", "pack_nibbles", "unpack"]

GROUP = 32
"""Integers of a row that share a multiplier. They lie as far apart as there are groups."""

_LOWEST, _HIGHEST = -8, 7
_BITS, _MASK = 4, 15
# Times −8 that is still an integer of 8 bits, whatever its sign.
_LARGEST_MULTIPLIER = 15
# Multipliers from the one on that reaches a group's largest integer: a smaller one clips that, and may leave
# all the others nearer.
_TRIED = 5
# Rows that are packed at once: what is computed on the way is many times as large as they are.
_ROWS = 2048

# Root mean square error as a share of the median size. Of normally distributed numbers it is 0.12, of those
# that are distributed as Laplace's 0.2.
_LARGEST_ERROR = 0.3

_NAMES = ("nibbles_mask", "nibbles_bits", "nibbles_lowest")


def pack(integers: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Write integers ``[…, width]`` as nibbles ``[…, width // 2]`` and multipliers ``[…, width // 32]``.

    The low nibbles are the first half of each row and the high ones the second half, 8 above what they stand
    for. Of the multipliers that may fit a group, the one with the least squared error is taken.
    """
    width = integers.shape[-1]
    rows = integers.reshape(-1, width)
    parts = [_packed(rows[start : start + _ROWS]) for start in range(0, len(rows), _ROWS)]
    nibbles = np.concatenate([part[0] for part in parts])
    multipliers = np.concatenate([part[1] for part in parts])
    leading = integers.shape[:-1]
    return nibbles.reshape(*leading, -1), multipliers.reshape(*leading, -1)


def unpack(nibbles: NDArray[np.uint8], multipliers: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the integers that :func:`pack` wrote, as the graph computes them."""
    raised = np.concatenate([nibbles & _MASK, nibbles >> _BITS], axis=-1)
    repeated = np.concatenate([multipliers] * GROUP, axis=-1)
    levels = raised.astype(np.int8) + np.int8(_LOWEST)
    integers: NDArray[np.int8] = levels * repeated
    return integers


def near_in_nibbles(integers: NDArray[np.int8]) -> NDArray[np.int8] | None:
    """Return what nibbles make of integers ``[…, width]``, None where those stay in 8 bits."""
    if integers.shape[-1] % GROUP:
        return None
    unpacked = unpack(*pack(integers))
    if _apart(unpacked, integers) > _LARGEST_ERROR:
        return None
    return unpacked


def pack_nibbles(model: ModelProto, *, tables_alone: bool, kept: Collection[str] = ()) -> int:
    """Store large constants of 8 bits of a graph in 4, in place. Return how many those were.

    With ``tables_alone`` those are tables that rows are looked up in. Constants in ``kept`` stay, by name, in
    8 bits. What else stays in 8 bits are constants
    whose rows are no whole number of groups, and those that would be farther than usual from what they were:
    of a group with one large number in it, little more than that number is left.
    """
    return store(model, _FourBits(tables_alone=tables_alone, kept=kept))


def _packed(rows: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    count, width = rows.shape
    # [rows, 32, groups]: from one member of a group to the next it is as far as there are groups.
    members = rows.reshape(count, GROUP, width // GROUP).astype(np.float32)
    multipliers = _best(members)
    levels = _levels(members, multipliers).reshape(count, width)
    raised = (levels - _LOWEST).astype(np.uint8)
    low, high = np.split(raised, 2, axis=-1)
    nibbles: NDArray[np.uint8] = low | (high << np.uint8(_BITS))
    return nibbles, multipliers.astype(np.int8)


def _best(members: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the multiplier of each group ``[rows, groups]`` that leaves the least squared error."""
    count, _, groups = members.shape
    least = np.full((count, groups), np.inf, dtype=np.float32)
    best = np.ones((count, groups), dtype=np.float32)
    for candidate in _candidates(members):
        error = members - _levels(members, candidate) * candidate[:, None]
        squared = np.square(error).sum(axis=1)
        is_nearer = squared < least
        least[is_nearer] = squared[is_nearer]
        best[is_nearer] = candidate[is_nearer]
    return best


def _candidates(members: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Give multipliers ``[rows, groups]`` that may fit, each group's own."""
    reaching = np.ceil(np.abs(members).max(axis=1) / -_LOWEST)
    for less in range(_TRIED):
        size = np.clip(reaching - less, 1, _LARGEST_MULTIPLIER)
        yield size
        yield -size


def _apart(found: NDArray[np.int8], integers: NDArray[np.int8]) -> float:
    """Return the root mean square error as a share of the median of the numbers' sizes, zeros apart.

    Not of their mean: few large numbers would hide what became of all others.
    """
    sizes = np.abs(integers[integers != 0].astype(np.int16))
    if not len(sizes):
        return 0.0
    error = found.astype(np.float32) - integers
    return float(np.sqrt(np.square(error).mean()) / np.median(sizes))


def _levels(members: NDArray[np.float32], multipliers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return integers of 4 bits that, times their group's multiplier, are nearest to its members."""
    exact = members / multipliers[:, None]
    levels: NDArray[np.float32] = np.rint(exact).clip(_LOWEST, _HIGHEST)
    return levels


class _FourBits:
    """Nibbles and multipliers in place of integers of 8 bits."""

    def __init__(self, *, tables_alone: bool, kept: Collection[str]) -> None:
        self._tables_alone = tables_alone
        self._kept = kept

    def parts(self, tensor: TensorProto, *, is_looked_up: bool) -> list[TensorProto]:
        """Return the nibbles and multipliers of a large constant of integers, where it is near them."""
        from onnx import TensorProto, numpy_helper

        if tensor.data_type != TensorProto.INT8 or not is_large(tensor) or tensor.dims[-1] % GROUP:
            return []
        if tensor.name in self._kept or (self._tables_alone and not is_looked_up):
            return []
        integers = numpy_helper.to_array(tensor)
        nibbles, multipliers = pack(integers)
        if _apart(unpack(nibbles, multipliers), integers) > _LARGEST_ERROR:
            return []
        return [
            numpy_helper.from_array(nibbles, f"{tensor.name}_nibbles"),
            numpy_helper.from_array(multipliers, f"{tensor.name}_multipliers"),
        ]

    def steps(self, parts: Sequence[str], output: str) -> list[NodeProto]:
        """Compute what :func:`unpack` returns; in float32, as runtimes add and multiply no 8-bit integers."""
        from onnx import TensorProto, helper

        nibbles, multipliers = parts
        mask, bits, lowest = _NAMES
        low, high, raised, numbers, levels, factors, repeated, products = (
            f"{output}_{step}"
            for step in ("low", "high", "raised", "numbers", "levels", "factors", "repeated", "products")
        )
        return [
            helper.make_node("BitwiseAnd", [nibbles, mask], [low]),
            helper.make_node("BitShift", [nibbles, bits], [high], direction="RIGHT"),
            helper.make_node("Concat", [low, high], [raised], axis=-1),
            helper.make_node("Cast", [raised], [numbers], to=TensorProto.FLOAT),
            helper.make_node("Add", [numbers, lowest], [levels]),
            helper.make_node("Cast", [multipliers], [factors], to=TensorProto.FLOAT),
            # Whatever the number of dimensions, which a Tile or a Reshape would have to know.
            helper.make_node("Concat", [factors] * GROUP, [repeated], axis=-1),
            helper.make_node("Mul", [levels, repeated], [products]),
            helper.make_node("Cast", [products], [output], to=TensorProto.INT8),
        ]

    def shared(self) -> list[TensorProto]:
        """Return the numbers that nibbles are taken apart with."""
        from onnx import numpy_helper

        numbers = (np.uint8(_MASK), np.uint8(_BITS), np.float32(_LOWEST))
        named = zip(_NAMES, numbers, strict=True)
        return [numpy_helper.from_array(np.array(number), name) for name, number in named]
