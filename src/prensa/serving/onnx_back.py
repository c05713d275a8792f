"""The layers of an ONNX graph that have more bits than the others: found by their weights' numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from prensa.serving.weights import FLOAT, digest

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["constants_of", "in_eight_bits", "in_float", "readers_by_name"]

# What ONNX Runtime's quantizer and our tables append to a constant's name.
_ENDINGS = ("_int8", "_quantized", "_Transposed_quantized")


def constants_of(model: ModelProto, digests: Collection[str]) -> dict[str, str]:
    """Return the digests of those constants of a graph that are among ``digests``, by their names."""
    from onnx import TensorProto, numpy_helper

    names: dict[str, str] = {}
    if not digests:
        return names
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        own = digest(numpy_helper.to_array(tensor))
        if own is not None and own in digests:
            names[tensor.name] = own
    return names


def in_float(constants: Mapping[str, str], bits: Mapping[str, int]) -> set[str]:
    """Return the names of the constants whose layers are in float; ``bits`` are those of digests."""
    return {name for name, own in constants.items() if bits[own] == FLOAT}


def in_eight_bits(constants: Mapping[str, str], bits: Mapping[str, int]) -> set[str]:
    """Return the names that constants have in 8 bits whose layers are to stay there."""
    names: set[str] = set()
    for name, own in constants.items():
        if bits[own] != FLOAT:
            names.update(name + ending for ending in _ENDINGS)
    return names


def readers_by_name(model: ModelProto, constants: set[str]) -> list[str]:
    """Return the names of the products that read some constants, as ONNX Runtime's quantizer knows them."""
    names = []
    for node in model.graph.node:
        if node.op_type in {"MatMul", "Gemm"} and constants & set(node.input):
            # The quantizer makes a MatMul of each Gemm before it looks at names.
            names += [node.name, f"{node.name}_MatMul"]
    return names
