"""The list of layers of a model: where it is, of which kind each is, and what a config says of fewer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from prensa.calibration.blocks import lists_of_layers
from prensa.errors import ModelError
from prensa.shrink.matrices import matrices_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

COUNT = "num_hidden_layers"
"""The name by which every config answers how many layers there are, whatever its own is."""

Kind: TypeAlias = "Mapping[str, object]"

_NUMBER = re.compile(r"(layer|block)_(idx|id|index|number)")
"""Attributes that hold a layer's number, which changes when others before it go."""


def layers_of(model: PreTrainedModel) -> str:
    """Return the dotted name of the outermost list of layers.

    Raises :class:`ModelError` if there is none, if there are several, and if the config counts other layers.
    """
    name = type(model).__name__
    lists = []
    for candidate, modules in lists_of_layers(model):
        # A list of dropouts or of norms is no list of layers.
        if matrices_of(modules):
            lists.append(candidate)
    if len(lists) > 1:
        shown = " and ".join(lists[:2])
        raise ModelError(f"{name}: expected one list of layers, found {shown}; such a model cannot be shrunk")
    if not lists:
        raise ModelError(f"{name}: expected a list of layers, found none; such a model cannot be shrunk")
    there = len(layer_modules(model, lists[0]))
    said = getattr(model.config, COUNT, None)
    if there != said:
        raise ModelError(
            f"{name}: config.json says {said} layers, but {lists[0]} holds {there}; layers that share their "
            "weights, or are counted in another way, cannot be shrunk"
        )
    return lists[0]


def layer_modules(model: nn.Module, layers: str) -> list[nn.Module]:
    """Return the layers in the list of this name."""
    modules = model.get_submodule(layers)
    if not isinstance(modules, nn.ModuleList):
        raise ModelError(
            f"{type(model).__name__}: expected a list of layers at {layers}, found another module"
        )
    return list(modules)


def renumber(layer: nn.Module, number: int) -> None:
    """Have the modules of a layer know its new number."""
    for module in layer.modules():
        for name, value in list(vars(module).items()):
            if _NUMBER.fullmatch(name) and type(value) is int:
                setattr(module, name, number)


def kinds_of(model: PreTrainedModel, layers: str) -> list[Kind]:
    """Return the kind of each layer; two are of one kind if they are equal.

    That is everything about it but its weights: modules, shapes, and plain attributes of its modules (sliding
    window or not, a scale that depends on the layer's number).
    """
    kinds: list[Kind] = []
    for layer in layer_modules(model, layers):
        kind: dict[str, object] = {}
        for name, module in layer.named_modules():
            kind[name] = type(module).__name__
            for attribute, value in vars(module).items():
                is_plain = value is None or isinstance(value, (bool, int, float, str))
                if is_plain and not _NUMBER.fullmatch(attribute):
                    kind[f"{name}:{attribute}"] = value
        for name, tensor in layer.named_parameters():
            kind[f"{name} shape"] = tuple(tensor.shape)
        kinds.append(kind)
    return kinds


def shorter(config: PretrainedConfig, layers: Sequence[int]) -> dict[str, object]:
    """Return what ``config.json`` says when only these layers stay, under the config's own names."""
    count = getattr(config, COUNT)
    changes: dict[str, object] = {own_name(config, COUNT): len(layers)}
    for name, value in config.to_dict().items():
        # By name too: other lists may be as long by chance, such as DeBERTa's two kinds of attention.
        if isinstance(value, list) and len(value) == count and "layer" in name:
            changes[name] = [value[layer] for layer in layers]
    return changes


def own_name(config: PretrainedConfig, name: str) -> str:
    """Return what a config calls one of the library's common names: ``n_layer`` in GPT-2's."""
    own = (config.attribute_map or {}).get(name, name)
    return str(own)


def changed(config: PretrainedConfig, changes: Mapping[str, object]) -> PretrainedConfig:
    """Return the config that is read where a ``config.json`` says these changes."""
    changed_config: PretrainedConfig = type(config).from_dict({**config.to_dict(), **changes})
    # Kernels that a config names are fetched from the hub when the class is built with them.
    changed_config._attn_implementation = "eager"  # noqa: SLF001
    return changed_config
