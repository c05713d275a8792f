"""Weights of an ONNX graph turned in the file, not by the graph.

A layer that is used twice has a node that turns its weights for both products. ONNX Runtime's quantizer takes
what comes out of a node for no weights, and leaves both in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from prensa.serving.onnx_constants import is_large, readers_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["turn_weights"]


def turn_weights(model: ModelProto) -> int:
    """Replace, in place, transposed large constants of a graph by constants. Return how many those were."""
    from onnx import numpy_helper

    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    turned = 0
    kept = []
    for node in graph.node:
        tensor = tensors.get(node.input[0]) if node.op_type == "Transpose" else None
        if tensor is None or not is_large(tensor):
            kept.append(node)
            continue
        weights = numpy_helper.to_array(tensor)
        result = np.ascontiguousarray(weights.transpose(_order(node)))
        graph.initializer.append(numpy_helper.from_array(result, node.output[0]))
        turned += 1
    if turned:
        del graph.node[:]
        graph.node.extend(kept)
        _drop_unread(model)
    return turned


def _order(node: NodeProto) -> list[int] | None:
    for attribute in node.attribute:
        if attribute.name == "perm":
            return list(attribute.ints)
    # All dimensions the other way round.
    return None


def _drop_unread(model: ModelProto) -> None:
    """Drop the large constants that nothing reads any more."""
    graph = model.graph
    read = set(readers_of(model))
    read.update(output.name for output in graph.output)
    kept = [tensor for tensor in graph.initializer if tensor.name in read or not is_large(tensor)]
    del graph.initializer[:]
    graph.initializer.extend(kept)
