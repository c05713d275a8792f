"""How much each layer costs in few bits: how far answers move where that layer alone is rounded.

Answers are computed by the traced graph itself, so every kind of layer that a runtime sees is measured, for
any task. The order is what counts: what an export really loses is judged on the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind

from prensa.progress import Progress
from prensa.serving.distance import Comparison, Rows, as_rows, thinned
from prensa.serving.exported import Inputs, whole
from prensa.serving.layers import Layer, Use
from prensa.serving.program import Program
from prensa.serving.rounding import rounded_input, rounded_weight
from prensa.serving.weights import FLOAT

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node
    from torch.fx.node import Argument

_MEASURED = 16
"""Texts that each layer is measured on."""

_EIGHT = 8


@dataclass(frozen=True)
class Bits:
    """In how many bits a precision stores the weights of products, and tables that are looked up."""

    products: int
    tables: int


@dataclass(frozen=True)
class Step:
    """A layer that gets more ``bits``. ``cost`` is how far answers move as long as it has fewer."""

    layer: Layer
    bits: int
    cost: float


def steps_back(
    program: Program, layers: Sequence[Layer], bits: Bits, texts: Sequence[Inputs], progress: Progress
) -> list[Step]:
    """Return the steps that lead from a precision back to float, the one that gains most first.

    A layer of 4 bits gets 8 first. Steps that gain nothing are left out. ``texts`` are one text each.
    """
    short = sorted(texts, key=_length)
    # The shorter half at most, and from all over it: a long text takes long for each layer.
    half = short[: max(_MEASURED, len(short) // 2)]
    some = half[:: max(1, len(half) // _MEASURED)][:_MEASURED]
    measured = _Measured(program, some)
    steps: list[Step] = []
    for number, layer in enumerate(layers):
        progress("measuring layers", number, len(layers))
        steps += _steps_of(layer, bits, measured)
    progress("measuring layers", len(layers), len(layers))
    # Stable: a layer gets 8 bits before it gets float.
    return sorted(steps, key=lambda step: -step.cost)


def _length(inputs: Inputs) -> int:
    return int(inputs["input_ids"].shape[1])


def _steps_of(layer: Layer, bits: Bits, measured: _Measured) -> Iterator[Step]:
    own = []
    for use in layer.uses:
        own.append(bits.tables if use.given is None else bits.products)
    in_eight = measured.cost(layer, [_EIGHT] * len(own))
    if min(own) < _EIGHT:
        fewer = measured.cost(layer, own)
        if fewer > in_eight:
            yield Step(layer, _EIGHT, fewer)
    if in_eight > 0:
        yield Step(layer, FLOAT, in_eight)


class _Measured:
    """Answers of a graph to some texts, and how far they move."""

    def __init__(self, program: Program, texts: Sequence[Inputs]) -> None:
        self._graph = program.graph
        self._outputs = len(program.outputs)
        self._texts = []
        for inputs in texts:
            self._texts.append([torch.from_numpy(inputs[name]) for name in program.inputs])
        self._exact = list(self._answers({}))

    def cost(self, layer: Layer, bits: Sequence[int]) -> float:
        """Return how far answers move where each use of a layer has so many bits."""
        rounded = {}
        for use, own in zip(layer.uses, bits, strict=True):
            rounded[use.node] = (use, own)
        comparison = Comparison()
        for answer, exact in zip(self._answers(rounded), self._exact, strict=True):
            comparison.add(answer, exact)
        return comparison.distance

    @torch.inference_mode()
    def _answers(self, rounded: Mapping[str, tuple[Use, int]]) -> Iterator[Rows]:
        runner = _Rounding(self._graph, rounded)
        for inputs in self._texts:
            outputs = runner.run(*_arguments(self._graph, inputs))[-self._outputs :]
            output = whole([each.float().numpy() for each in outputs])
            # Part of the answers of a language model is enough to know the order.
            yield thinned(as_rows(output[0]))


class _Rounding(torch.fx.Interpreter):
    """Runs a graph, and rounds what some of its nodes read."""

    def __init__(self, graph: ExportedProgram, rounded: Mapping[str, tuple[Use, int]]) -> None:
        super().__init__(graph.graph_module)
        self._rounded = rounded
        self._weights: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Argument:
        if n.name not in self._rounded:
            return super().run_node(n)  # type: ignore[no-any-return]
        use, bits = self._rounded[n.name]
        given, others = self.fetch_args_kwargs_from_env(n)
        operands = list(given)
        if n.name not in self._weights:
            # Once for all texts.
            self._weights[n.name] = rounded_weight(operands[use.weight], use, bits)
        operands[use.weight] = self._weights[n.name]
        if use.given is not None:
            operands[use.given] = rounded_input(operands[use.given])
        return n.target(*operands, **others)  # type: ignore[no-any-return,operator]


def _arguments(graph: ExportedProgram, inputs: Sequence[Tensor]) -> list[object]:
    """Return all that a graph takes, in order: its weights, its constants, and the inputs."""
    remaining = iter(inputs)
    arguments: list[object] = []
    for spec in graph.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            arguments.append(next(remaining))
        elif spec.target in graph.state_dict:
            arguments.append(graph.state_dict[spec.target])
        else:
            # Buffers that checkpoints do not hold, and constants of the graph.
            arguments.append(graph.constants[spec.target])
    return arguments
