"""Tables of an ONNX graph in 8 bits, each row with its own scale.

ONNX Runtime's quantizer stores an embedding table with one scale for all of its numbers, and leaves what is
gathered along another axis, such as the positions of a folded DeBERTa, in float32. Here every row has a
scale, and what a lookup gives is multiplied with it.

Products are not touched: those of weights are ONNX Runtime's to quantize.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.serving.onnx_constants import is_large, store

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["quantize_rows", "shrink_tables", "strip_remarks"]

# The largest integer of a symmetric row in 8 bits.
_LARGEST = 127


def quantize_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a table ``[…, width]`` to integers and scales ``[…, 1]``; their product is near the table."""
    largest = np.abs(table).max(axis=-1, keepdims=True)
    scales = largest / _LARGEST
    # A row of zeros stays one, whatever its scale.
    scales[scales == 0] = 1
    integers = np.rint(table / scales)
    return integers.astype(np.int8), scales.astype(np.float32)


def shrink_tables(model: ModelProto, kept: Collection[str] = ()) -> int:
    """Store the large float32 constants of a graph in 8 bits, in place. Return how many those were.

    Those in ``kept``, by name, stay in float32.
    """
    return store(model, _EightBits(kept))


def strip_remarks(model: ModelProto) -> None:
    """Drop from a graph, in place, what no runtime reads: where in a Python program each node comes from.

    In a small model that is as long as some of its matrices.
    """
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in model.graph.value_info:
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")


class _EightBits:
    """Integers of 8 bits and a scale for each row in place of float32."""

    def __init__(self, kept: Collection[str]) -> None:
        self._kept = kept

    def parts(self, tensor: TensorProto, *, is_looked_up: bool) -> list[TensorProto]:
        """Return the integers and the scales of a large constant of float32 whose numbers are finite."""
        from onnx import TensorProto, numpy_helper

        if tensor.data_type != TensorProto.FLOAT or not is_large(tensor) or tensor.name in self._kept:
            return []
        table = numpy_helper.to_array(tensor)
        # Infinity, as in a mask, has no scale that leaves anything of its row.
        if not np.isfinite(table).all():
            return []
        integers, scales = quantize_rows(table)
        return [
            numpy_helper.from_array(integers, f"{tensor.name}_int8"),
            numpy_helper.from_array(scales, f"{tensor.name}_scale"),
        ]

    def steps(self, parts: Sequence[str], output: str) -> list[NodeProto]:
        """Multiply integers and scales."""
        from onnx import TensorProto, helper

        integers, scales = parts
        numbers = f"{output}_float"
        return [
            helper.make_node("Cast", [integers], [numbers], to=TensorProto.FLOAT),
            helper.make_node("Mul", [numbers, scales], [output]),
        ]

    def shared(self) -> list[TensorProto]:
        """Return nothing: the steps read the parts alone."""
        return []
