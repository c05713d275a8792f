"""Constants of an ONNX graph in float16, half of the bytes. What computes stays in float32.

Runtimes for processors, a browser's among them, have few operators in float16: constants are float32 again
once the graph is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prensa.serving.onnx_constants import is_large, store

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["halve"]

_LARGEST = float(np.finfo(np.float16).max)


def halve(model: ModelProto) -> int:
    """Store the large float32 constants of a graph in float16, in place. Return how many those were.

    Constants with numbers that float16 does not reach stay.
    """
    return store(model, _Halves())


class _Halves:
    """Float16 in place of float32."""

    def parts(self, tensor: TensorProto, *, is_looked_up: bool) -> list[TensorProto]:
        """Return a large constant of float32 in float16, if that has its numbers."""
        from onnx import TensorProto, numpy_helper

        if tensor.data_type != TensorProto.FLOAT or not is_large(tensor):
            return []
        numbers = numpy_helper.to_array(tensor)
        if np.abs(numbers).max() > _LARGEST:
            return []
        return [numpy_helper.from_array(numbers.astype(np.float16), f"{tensor.name}_half")]

    def steps(self, parts: Sequence[str], output: str) -> list[NodeProto]:
        """Make it float32 again."""
        from onnx import TensorProto, helper

        return [helper.make_node("Cast", [*parts], [output], to=TensorProto.FLOAT)]

    def shared(self) -> list[TensorProto]:
        """Return nothing: the step reads the part alone."""
        return []
