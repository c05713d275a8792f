"""Which layers a model can lose: those without which its config builds and runs all others as they were.

A layer that stays gets another number when one before it goes. Its class may give it another form by that
number, which shows in a class that is built from the shorter config, or compute something else with it,
which shows in the answers of a layer that is given another number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from prensa.checkpoint.roles import model_class, quiet_transformers
from prensa.errors import ModelError
from prensa.sharing import building
from prensa.shrink.layers import COUNT, changed, kinds_of, layers_of, renumber, shorter
from prensa.shrink.twin import build_twin

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def layers_that_can_go(config: PretrainedConfig) -> tuple[int, ...]:
    """Return the numbers of the layers that can be dropped; empty if none can.

    The first and the last may be of a kind that only they can have: the first of ModernBERT has no norm.
    Whether several can go at once is for :func:`can_be_shortened` to say. Raises :class:`ModelError` if
    the class cannot be built, or not be run on vectors.
    """
    count = getattr(config, COUNT)
    class_ = model_class(config)
    # The first, one between, and the last: a rule by number, or by distance from the end, moves with one.
    probes = sorted({0, count // 2, count - 1})
    can_go = set()
    for probe in probes:
        others = [layer for layer in range(count) if layer != probe]
        if others and can_be_shortened(class_, config, others):
            can_go.add(probe)
    if count // 2 in can_go:
        can_go.update(range(1, count - 1))
    return tuple(sorted(can_go))


def can_be_shortened(class_: type[PreTrainedModel], config: PretrainedConfig, layers: Sequence[int]) -> bool:
    """Whether a class whose config says only these layers builds and runs them as they were, and all else."""
    has_new_numbers = list(layers) != list(range(len(layers)))
    if has_new_numbers and _computes_with_numbers(class_, config):
        return False
    whole = _build_without_weights(class_, config, {})
    try:
        short = _build_without_weights(class_, config, shorter(config, layers))
        name = layers_of(short)
    # Each class has its own way to refuse a config.
    except (ModelError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError):
        return False
    kinds = kinds_of(whole, name)
    if kinds_of(short, name) != [kinds[layer] for layer in layers]:
        return False
    return _shapes_outside(short, name) == _shapes_outside(whole, name)


def _computes_with_numbers(class_: type[PreTrainedModel], config: PretrainedConfig) -> bool:
    """Whether a layer answers differently when it has another number: GPT-2 can divide by it."""
    twin = build_twin(class_, config)
    with torch.no_grad():
        before = twin.run()
        for number in (1, 2, 3):
            renumber(twin.layer, number)
            try:
                answers = twin.run()
            # It looks itself up in a list of the config, say.
            except (IndexError, KeyError, ValueError, RuntimeError):
                return True
            if not torch.equal(answers, before):
                return True
    return False


def _build_without_weights(
    class_: type[PreTrainedModel],
    config: PretrainedConfig,
    changes: Mapping[str, object],
) -> PreTrainedModel:
    with building(), torch.device("meta"), quiet_transformers():
        return class_(changed(config, changes))


def _shapes_outside(model: nn.Module, layers: str) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, tensor in model.named_parameters():
        if not name.startswith(f"{layers}."):
            shapes[name] = tuple(tensor.shape)
    return shapes
