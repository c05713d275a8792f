"""Tables of an ONNX graph in 8 bits, each row with its own scale.

ONNX Runtime's quantizer stores an embedding table with one scale for all of its numbers, and leaves what is
gathered along another axis, such as the positions of a folded DeBERTa, in float32. Here every row has a
scale, and what a lookup gives is multiplied with it, in steps that every runtime of ONNX has: ``Gather``,
``Cast`` and ``Mul``, in a browser as well as on a server.

Products are not touched: those of weights are ONNX Runtime's to quantize.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["quantize_rows", "shrink_tables", "strip_remarks"]

# Numbers of a table for which a scale for each row pays.
_FEWEST = 4096
# The largest integer of a symmetric row in 8 bits.
_LARGEST = 127

_MATRIX = 2


def quantize_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a table ``[…, width]`` to integers and scales ``[…, 1]``; their product is near the table."""
    largest = np.abs(table).max(axis=-1, keepdims=True)
    scales = largest / _LARGEST
    # A row of zeros stays one, whatever its scale.
    scales[scales == 0] = 1
    integers = np.rint(table / scales)
    return integers.astype(np.int8), scales.astype(np.float32)


def shrink_tables(model: ModelProto) -> int:
    """Store the large float32 constants of a graph in 8 bits, in place. Return how many those were.

    Of an embedding table only the rows that are looked up become float32 again. Any other constant does so
    when the graph is loaded: runtimes compute once what depends on no input.
    """
    graph = model.graph
    readers = _readers(model)
    kept = []
    # Nodes come in the order in which they run: what makes a table float32 again runs first.
    first: list[NodeProto] = []
    replaced: dict[str, list[NodeProto]] = {}
    shrunk = 0
    for tensor in graph.initializer:
        if not _is_table(tensor):
            kept.append(tensor)
            continue
        integers, scales, parts = _parts(tensor)
        kept += parts
        shrunk += 1
        if _is_looked_up(tensor, readers[tensor.name]):
            for node in readers[tensor.name]:
                replaced[node.output[0]] = _lookup(node, integers, scales)
        else:
            first += _whole(tensor.name, integers, scales)

    nodes = list(first)
    for node in graph.node:
        # Lookups have one output, and its name stays.
        nodes += replaced.get(node.output[0], [node])
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)
    return shrunk


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


def _readers(model: ModelProto) -> dict[str, list[NodeProto]]:
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            readers[name].append(node)
    return readers


def _is_table(tensor: TensorProto) -> bool:
    import onnx

    return (
        tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) >= _MATRIX
        and int(np.prod(tensor.dims)) >= _FEWEST
    )


def _is_looked_up(tensor: TensorProto, readers: list[NodeProto]) -> bool:
    """Whether whole rows of a matrix are looked up, and nothing else is done with it."""
    # One that nothing reads here is read in the body of a loop or of a condition.
    if len(tensor.dims) != _MATRIX or not readers:
        return False
    for node in readers:
        if node.op_type != "Gather" or node.input[0] != tensor.name:
            return False
        for attribute in node.attribute:
            if attribute.name == "axis" and attribute.i != 0:
                return False
    return True


def _parts(tensor: TensorProto) -> tuple[str, str, list[TensorProto]]:
    """Return a table's integers and scales as constants, and their names."""
    from onnx import numpy_helper

    table = numpy_helper.to_array(tensor)
    integers, scales = quantize_rows(table)
    names = (f"{tensor.name}_int8", f"{tensor.name}_scale")
    parts = [numpy_helper.from_array(integers, names[0]), numpy_helper.from_array(scales, names[1])]
    return (*names, parts)


def _lookup(node: NodeProto, integers: str, scales: str) -> list[NodeProto]:
    """Look up integers and scales where a node looked up float32."""
    from onnx import TensorProto, helper

    output = node.output[0]
    ids = node.input[1]
    rows, numbers, factors = (f"{output}_{part}" for part in ("int8", "float", "scale"))
    return [
        helper.make_node("Gather", [integers, ids], [rows], axis=0),
        helper.make_node("Cast", [rows], [numbers], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scales, ids], [factors], axis=0),
        helper.make_node("Mul", [numbers, factors], [output]),
    ]


def _whole(name: str, integers: str, scales: str) -> list[NodeProto]:
    """Make a constant float32 again, under its own name."""
    from onnx import TensorProto, helper

    numbers = f"{name}_float"
    return [
        helper.make_node("Cast", [integers], [numbers], to=TensorProto.FLOAT),
        helper.make_node("Mul", [numbers, scales], [name]),
    ]
