"""Large constants of an ONNX graph stored in fewer bytes, and made again by the graph itself.

How a constant is stored is a :class:`Form`: parts in its place, and steps that make it from them. Of a table
whose rows are looked up, the rows of its parts are looked up instead, and the steps make those alone. Any
other constant is made when the graph is loaded: runtimes compute once what depends on no input.

Steps are operators of the standard, which every runtime of ONNX has, in a browser as well as on a server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["Form", "is_large", "readers_of", "store"]

# Numbers of a constant for which the steps pay.
_FEWEST = 4096

_MATRIX = 2


class Form(Protocol):
    """A way to store a constant."""

    def parts(self, tensor: TensorProto, *, is_looked_up: bool) -> list[TensorProto]:
        """Return what is stored in place of a constant, nothing where that stays as it is.

        Parts have as many rows as the constant has, and names derived from its name.
        """

    def steps(self, parts: Sequence[str], output: str) -> list[NodeProto]:
        """Make the constant, or rows of it, from the parts of these names, or from rows of them."""

    def shared(self) -> list[TensorProto]:
        """Return constants that the steps of all tables read."""


def is_large(tensor: TensorProto) -> bool:
    """Whether a constant is a matrix, or has more dimensions, and enough numbers to be stored otherwise."""
    return len(tensor.dims) >= _MATRIX and int(np.prod(tensor.dims)) >= _FEWEST


def store(model: ModelProto, form: Form) -> int:
    """Store in a form, in place, all constants of a graph that it is for. Return how many those were."""
    graph = model.graph
    readers = readers_of(model)
    kept = []
    # Nodes come in the order in which they run: what makes a constant again runs first.
    first: list[NodeProto] = []
    replaced: dict[str, list[NodeProto]] = {}
    stored = 0
    for tensor in graph.initializer:
        is_looked_up = _is_looked_up(tensor, readers[tensor.name])
        parts = form.parts(tensor, is_looked_up=is_looked_up)
        if not parts:
            kept.append(tensor)
            continue
        names = [part.name for part in parts]
        kept += parts
        stored += 1
        if is_looked_up:
            for node in readers[tensor.name]:
                replaced[node.output[0]] = _lookup(node, names, form)
        else:
            first += form.steps(names, tensor.name)
    if stored:
        kept += form.shared()

    nodes = list(first)
    for node in graph.node:
        # Lookups have one output, and its name stays.
        nodes += replaced.get(node.output[0], [node])
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)
    return stored


def readers_of(model: ModelProto) -> dict[str, list[NodeProto]]:
    """Return the nodes that read each value, bodies of loops and of conditions included."""
    readers = defaultdict(list)
    for node in model.graph.node:
        for name in _read_by(node):
            readers[name].append(node)
    return readers


def _read_by(node: NodeProto) -> Iterator[str]:
    """Yield what a node reads, in the bodies of a loop or of a condition too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read_by(inner)


def _is_looked_up(tensor: TensorProto, readers: list[NodeProto]) -> bool:
    """Whether whole rows of a matrix are looked up, and nothing else is done with it."""
    # One that no node reads is an output itself.
    if len(tensor.dims) != _MATRIX or not readers:
        return False
    for node in readers:
        if node.op_type != "Gather" or node.input[0] != tensor.name:
            return False
        for attribute in node.attribute:
            if attribute.name == "axis" and attribute.i != 0:
                return False
    return True


def _lookup(node: NodeProto, parts: Sequence[str], form: Form) -> list[NodeProto]:
    """Look up rows of the parts where a node looked up those of the table."""
    from onnx import helper

    output, ids = node.output[0], node.input[1]
    gathers = []
    rows = []
    for number, part in enumerate(parts):
        name = f"{output}_part_{number}"
        gathers.append(helper.make_node("Gather", [part, ids], [name], axis=0))
        rows.append(name)
    return [*gathers, *form.steps(rows, output)]
