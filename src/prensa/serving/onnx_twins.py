"""Constants of an ONNX graph that are equal become one.

What several modules have in common, such as the positions of a folded DeBERTa, is in an exported graph as
often as there are modules.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["merge_twins"]


def merge_twins(model: ir.Model) -> int:
    """Have all that reads one of several equal constants read the first of them. Return how many go.

    ``DeduplicateHashedInitializersPass`` of onnx-ir does the same, and fails on matrices that were turned.
    """
    graph = model.graph
    first: dict[tuple[object, ...], ir.Value] = {}
    gone = 0
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or value.is_graph_output():
            continue
        # Of bytes: numbers that are no number are never equal.
        digest = hashlib.sha256(tensor.tobytes()).digest()
        twin = first.setdefault((tensor.dtype, tuple(tensor.shape), digest), value)
        if twin is value:
            continue
        value.replace_all_uses_with(twin)
        graph.initializers.pop(name)
        gone += 1
    return gone
