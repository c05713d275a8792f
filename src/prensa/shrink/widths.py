"""Which key of a config says how wide feed-forward blocks are, found by trying keys on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from prensa.checkpoint.roles import model_class, quiet_transformers
from prensa.sharing import building
from prensa.shrink.anatomy import Anatomy, Part
from prensa.shrink.layers import changed, layer_modules, layers_of
from prensa.shrink.trial import take_away
from prensa.shrink.twin import of_few

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_WORDS = ("inner", "intermediate", "ffn", "mlp", "hidden_dim")
"""What a key is called that may be empty, for a multiple of the hidden size: GPT-2's ``n_inner``."""


def even_width_key(config: PretrainedConfig, anatomy: Anatomy, width: int | None = None) -> str | None:
    """Return the config's key that gives every feed-forward block ``width`` neurons, None if there is none.

    ``width`` is half of what there is if it is not given. A config may have several such numbers, or round
    them: what counts is that the class, built with this value, has exactly the shapes that narrowing gives.
    """
    parts = [part for part in anatomy.parts if part.layer == 0 and part.kind == "neurons"]
    widths = {part.units for part in parts}
    # Two kinds of blocks of two widths are not said by one key.
    if len(widths) != 1:
        return None
    units = widths.pop()
    width = width or max(1, units // 2)
    class_ = model_class(config)
    narrowed = _build(class_, config)
    for part in parts:
        _narrow_layer(narrowed, anatomy, part, width)
    expected = _shapes(narrowed)
    for key in _candidates(config, units):
        try:
            shapes = _shapes(_build(class_, changed(config, {key: width})))
        # Some values are refused by the class: hidden sizes that no number of heads divides.
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError):
            continue
        if shapes == expected:
            return key
    return None


def _candidates(config: PretrainedConfig, units: int) -> list[str]:
    keys = []
    for key, value in config.to_dict().items():
        is_width = type(value) is int and value == units
        is_open = value is None and any(word in key for word in _WORDS)
        if is_width or is_open:
            keys.append(key)
    return keys


def _build(class_: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    with building(), torch.device("meta"), quiet_transformers():
        return class_(of_few(config))


def _narrow_layer(model: PreTrainedModel, anatomy: Anatomy, part: Part, width: int) -> None:
    """Take neurons away in the only layer. Its list may have another name in a class without a head."""
    layer = layer_modules(model, layers_of(model))[0]
    prefix = f"{anatomy.layers}.{part.layer}."
    feeders = {feeder.name.removeprefix(prefix): feeder.rows for feeder in part.feeders}
    take_away(layer, part.reader.removeprefix(prefix), part.columns, feeders, torch.arange(width))


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, parameter in model.named_parameters():
        shapes[name] = tuple(parameter.shape)
    return shapes
