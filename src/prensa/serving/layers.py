"""The layers of a traced graph that runtimes put in fewer bits: products with a weight, and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from prensa.serving.weights import digest

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

_MATRIX = 2

# Which operand is the weight, which one it is multiplied with, and whether its rows are what comes out.
_PRODUCTS = {
    "aten.linear.default": (1, 0, True),
    "aten.addmm.default": (2, 1, False),
    "aten.mm.default": (1, 0, False),
    "aten.matmul.default": (1, 0, False),
}
_LOOKUP = "aten.embedding.default"
# What a weight may go through on its way into a product.
_STEPS = {"aten.t.default", "aten.transpose.int", "aten.permute.default", "aten.numpy_T.default"}


@dataclass(frozen=True)
class Use:
    """A node that reads a weight: ``given`` is the operand that it is multiplied with, None in a lookup.

    With ``by_rows`` each row of the weight gives one number of the output, as in ``nn.Linear``.
    """

    node: str
    weight: int
    given: int | None = None
    by_rows: bool = True


@dataclass(frozen=True)
class Layer:
    """A weight by the name it has in the model, and all that reads it.

    ``digest`` is what runtimes recognize it by. ``products`` is how many numbers of it are in products, once
    for each.
    """

    name: str
    digest: str
    products: int
    uses: tuple[Use, ...]


def layers_of(graph: ExportedProgram) -> list[Layer]:
    """List the layers of a graph in the order in which they run. Equal weights are one layer."""
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    uses: dict[str, list[Use]] = {}
    digests: dict[str, str | None] = {}
    for node in graph.graph.nodes:
        use = _use(node)
        if use is None:
            continue
        name = _weight_name(graph, node.args[use.weight])
        if name is None:
            continue
        weight = graph.state_dict[name]
        if name not in digests:
            digests[name] = digest(weight.detach().numpy())
        same = digests[name]
        if same is None:
            continue
        names.setdefault(same, name.removeprefix("model.").removesuffix(".weight"))
        uses.setdefault(same, []).append(use)
        in_product = 0 if use.given is None else weight.numel()
        sizes[same] = sizes.get(same, 0) + in_product
    layers = []
    for same, name in names.items():
        layers.append(Layer(name, same, sizes[same], tuple(uses[same])))
    return layers


def _use(node: Node) -> Use | None:
    target = str(node.target)
    if target == _LOOKUP:
        return Use(node.name, 0)
    if target in _PRODUCTS:
        weight, given, by_rows = _PRODUCTS[target]
        return Use(node.name, weight, given, by_rows)
    return None


def _weight_name(graph: ExportedProgram, operand: object) -> str | None:
    """Return the name in the state dict of what an operand is, turned or not; None for a computed one."""
    node = operand
    while isinstance(node, torch.fx.Node) and str(node.target) in _STEPS:
        node = node.args[0]
    if not isinstance(node, torch.fx.Node):
        return None
    name: str | None = graph.graph_signature.inputs_to_parameters.get(node.name)
    if name is None or graph.state_dict[name].dim() != _MATRIX:
        return None
    return name
