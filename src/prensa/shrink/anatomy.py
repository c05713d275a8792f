"""What can be taken away in a model: neurons, attention heads and layers, found from its own structure.

No list of class names: a twin of one layer with random weights shows which rows of which matrices feed which
columns of others (:mod:`prensa.shrink.influence`), and what cannot be taken away there without changing
something else is left out (:mod:`prensa.shrink.trial`). All of it comes from the config; no weight is read.
What is not understood stays whole, and a model of which nothing is understood is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from prensa.checkpoint.roles import load_config, meta_model
from prensa.errors import ModelError
from prensa.shrink.influence import Coupling, couplings_of
from prensa.shrink.layers import layer_modules, layers_of
from prensa.shrink.matrices import sizes_in
from prensa.shrink.stream import batch_of
from prensa.shrink.trial import counts_of
from prensa.shrink.twin import Twin, build_twin


@dataclass(frozen=True)
class Feeder:
    """A matrix some of whose rows (outputs) belong to each unit: its name in the model, int64 [units, k]."""

    name: str
    rows: Tensor


@dataclass(frozen=True)
class Part:
    """What can be made narrower in one layer: the units of one reader.

    A unit is a neuron, or a head; if several heads share a key, it is all of these. ``columns`` are the
    reader's inputs, int64 [units, size]. ``counts`` maps dotted names of integer attributes to what one unit
    adds to them.
    """

    layer: int
    kind: Literal["neurons", "heads"]
    reader: str
    columns: Tensor
    feeders: tuple[Feeder, ...]
    counts: Mapping[str, int]

    @property
    def units(self) -> int:
        """How many units there are."""
        return self.columns.shape[0]


@dataclass(frozen=True)
class Anatomy:
    """A model's list of layers, how many there are, and the parts of each in the order in which they run.

    A layer may have several parts of one kind (MobileBERT has four feed-forward blocks), or none of one.
    """

    layers: str
    count: int
    parts: tuple[Part, ...]


def anatomy_of(path: Path) -> Anatomy:
    """Find what can be taken away in the model of a directory, from its config.

    Raises :class:`ModelError`, naming the class, if the model has no list of layers or several, if its
    layers differ in shape, share weights or have something between them, if it cannot be run on vectors, and
    if no part can go.
    """
    config = load_config(path)
    whole = meta_model(path)
    name = type(whole).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name}: expected one list of layers, found an encoder and a decoder; such a model cannot be "
            "shrunk"
        )
    layers = layers_of(whole)
    modules = layer_modules(whole, layers)
    _check_own_weights(name, modules)
    _check_alike(name, layers, modules, modules[0])
    twin = build_twin(type(whole), config)
    # A model that was narrowed before is another than its config alone builds.
    _check_alike(name, layers, modules, twin.layer)

    proven = []
    for coupling in couplings_of(twin):
        counts = counts_of(twin, coupling)
        if counts is not None:
            proven.append((coupling, counts))
    if not proven:
        raise ModelError(
            f"{name}: no neurons or heads of {layers} can be taken away without changing something else; "
            "such a model cannot be shrunk"
        )
    if len(modules) > 1:
        _check_a_chain(build_twin(type(whole), config, layers=2))
    parts = []
    for layer in range(len(modules)):
        for coupling, counts in proven:
            parts.append(_part(f"{layers}.{layer}", layer, coupling, counts))
    return Anatomy(layers, len(modules), tuple(parts))


def _part(prefix: str, layer: int, coupling: Coupling, counts: Mapping[str, int]) -> Part:
    """Give a coupling of the twin's layer the names that it has in one of the model's."""
    feeders = []
    for name, rows in coupling.feeders.items():
        feeders.append(Feeder(f"{prefix}.{name}", rows))
    full_counts = {}
    for name, count in counts.items():
        full_counts[f"{prefix}.{name}"] = count
    # A neuron is one number; of a head there are several.
    kind: Literal["neurons", "heads"] = "neurons" if coupling.columns.shape[1] == 1 else "heads"
    return Part(layer, kind, f"{prefix}.{coupling.reader}", coupling.columns, tuple(feeders), full_counts)


def _check_a_chain(twin: Twin) -> None:
    """Refuse layers with something between them, as the convolution of large DeBERTas is."""
    inputs = {
        "inputs_embeds": twin.vectors,
        "attention_mask": torch.ones(twin.vectors.shape[:2], dtype=torch.int64),
    }
    batch_of(twin.model, layer_modules(twin.model, layers_of(twin.model)), inputs)


def _check_own_weights(name: str, modules: list[nn.Module]) -> None:
    """Refuse layers that share a parameter: what goes in one would go in all."""
    seen: dict[int, int] = {}
    for number, module in enumerate(modules):
        for parameter_name, parameter in module.named_parameters():
            other = seen.setdefault(id(parameter), number)
            if other != number:
                raise ModelError(
                    f"{name}: layers {other} and {number} share the weights {parameter_name}; such a model "
                    "cannot be shrunk"
                )


def _check_alike(name: str, layers: str, modules: list[nn.Module], one: nn.Module) -> None:
    """Refuse layers with other matrices than those of one that stands for all of them."""
    expected = sizes_in(one)
    for number, module in enumerate(modules):
        found = sizes_in(module)
        if found != expected:
            differing = dict(found.items() ^ expected.items())
            raise ModelError(
                f"{name}: expected layers with the same matrices, found another {min(differing)} in "
                f"{layers}.{number}; such a model cannot be shrunk"
            )
