"""Whether an export is in 8 bits as it was asked for: the share of its weights that integers multiply.

Quantizers leave out what they do not recognize, without a word: after an update of ONNX Runtime or of the
exporter a model may have the same answers as before, and the speed and size of float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prensa.errors import ModelError
from prensa.wording import percent

if TYPE_CHECKING:
    from onnx import ModelProto
    from openvino import Model, Node

# Of the weights in products; small ones that a runtime has no integer kernel for may stay.
_LEAST = 0.9

_INTEGER_PRODUCTS = {"MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
_FLOAT_PRODUCTS = {"MatMul", "Gemm"}
# What a weight may go through on its way into a product.
_ONNX_STEPS = {"Transpose", "Identity", "Cast", "DequantizeLinear", "Reshape"}
_OPENVINO_STEPS = {"Convert", "Subtract", "Multiply", "FakeQuantize", "Transpose", "Reshape"}


@dataclass(frozen=True)
class Share:
    """How many weights there are in products, and how many of those are multiplied as 8-bit integers."""

    in_8_bits: int
    in_all: int

    @property
    def ratio(self) -> float:
        """The share of the weights that are multiplied as integers; of no weights, all of them."""
        if not self.in_all:
            return 1.0
        return self.in_8_bits / self.in_all


@dataclass(frozen=True)
class Written:
    """What a runtime wrote: the share of products in 8 bits, None in other precisions, and what went back.

    ``back`` are digests of the weights that were found in the graph, and have more bits than the others.
    """

    share: Share | None = None
    back: frozenset[str] = frozenset()


def check_share(share: Share, runtime: str) -> None:
    """Raise :class:`ModelError` where fewer weights are in 8 bits than an export in int8 promises."""
    if share.ratio >= _LEAST:
        return
    raise ModelError(
        f"{runtime} put {percent(share.ratio)} of the weights in products in 8 bits, "
        f"expected at least {percent(_LEAST)}; export with `precision=fp32`, or with another version of "
        f"{runtime}"
    )


def share_in_onnx(model: ModelProto) -> Share:
    """Count the weights in the products of an ONNX graph."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    # A constant may be passed through a few nodes that compute nothing.
    for node in model.graph.node:
        if node.op_type in _ONNX_STEPS and node.input[0] in sizes:
            sizes[node.output[0]] = sizes[node.input[0]]
    in_8_bits = 0
    in_all = 0
    for node in model.graph.node:
        if node.op_type not in _INTEGER_PRODUCTS | _FLOAT_PRODUCTS:
            continue
        # Of a product of activations, neither is a constant. Scales are constants of one number for a column.
        weight = max(sizes.get(name, 0) for name in node.input[:2])
        in_all += weight
        if node.op_type in _INTEGER_PRODUCTS:
            in_8_bits += weight
    return Share(in_8_bits, in_all)


def share_in_openvino(model: Model) -> Share:
    """Count the weights in the products of an OpenVINO graph."""
    in_8_bits = 0
    in_all = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        weight = _constant(node.input_value(1).get_node())
        if weight is None:
            continue
        size = int(np.prod(weight.get_output_shape(0)))
        in_all += size
        # The other side may be rounded far above, in front of a choice of tokens.
        if _is_quantized(node.input_value(1).get_node()):
            in_8_bits += size
    return Share(in_8_bits, in_all)


def _constant(node: Node) -> Node | None:
    for source in _upwards(node):
        if source.get_type_name() == "Constant":
            return source
    return None


def _is_quantized(node: Node) -> bool:
    """Whether a weight was rounded to levels on its way here, or is a constant of integers."""
    for source in _upwards(node):
        name = source.get_type_name()
        if name == "FakeQuantize":
            return True
        if name == "Constant":
            return bool(source.get_element_type().get_type_name() in {"i8", "u8"})
    return False


def _upwards(node: Node) -> Iterator[Node]:
    """Go from a value through the steps that compute nothing to what it comes from."""
    yield node
    while node.get_type_name() in _OPENVINO_STEPS:
        node = node.input_value(0).get_node()
        yield node
