"""The nodes of an OpenVINO graph that stay out of 8 bits: found by their weights' numbers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from prensa.serving.weights import digest

if TYPE_CHECKING:
    from openvino import Model, Node

# Of a lookup the table is the first input, of a product the weight is the second.
_OPERAND = {"Gather": 0, "MatMul": 1}
# What a weight may go through on its way into a node.
_STEPS = {"Convert", "Transpose", "Reshape"}


def readers_of_weights(model: Model, digests: Collection[str]) -> dict[str, str]:
    """Return the names of the nodes that read the weights with some digests, each with its digest."""
    names: dict[str, str] = {}
    if not digests:
        return names
    for node in model.get_ordered_ops():
        operand = _OPERAND.get(node.get_type_name())
        if operand is None:
            continue
        own = _digest(node.input_value(operand).get_node())
        if own is not None and own in digests:
            names[node.get_friendly_name()] = own
    return names


def _digest(node: Node) -> str | None:
    """Return the digest of a constant, None for anything else."""
    while node.get_type_name() in _STEPS:
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    return digest(node.data)
