"""A model made smaller in place: neurons, heads and layers taken away, and what its files must say of that.

Fewer layers, and feed-forward blocks of one width, can be said in ``config.json``. Heads and uneven widths
cannot: for these there is a :class:`prensa.checkpoint.structure.Structure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from prensa.checkpoint.structure import Structure
from prensa.errors import ModelError
from prensa.shrink.anatomy import Anatomy, Part
from prensa.shrink.dropping import can_be_shortened
from prensa.shrink.layers import COUNT, layer_modules, renumber, shorter
from prensa.shrink.matrices import sizes
from prensa.shrink.trial import set_attributes, take_away
from prensa.shrink.widths import even_width_key

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Kept:
    """What stays: numbers of layers, and for each part, by its reader's name, numbers of units (int64).

    Both are ascending, at least one each, and numbered as in the whole model. A part that is not named
    stays whole.
    """

    layers: tuple[int, ...]
    units: Mapping[str, Tensor]


def narrow(model: PreTrainedModel, anatomy: Anatomy, kept: Kept) -> Structure | None:
    """Take away in place what is not kept, and have the model's config say what it can say.

    Returns what the config cannot say, under the names that modules have afterwards; None if there is
    nothing of that kind. Weights keep their type, their device and whether they are trained.

    Raises :class:`ModelError`, before anything is changed, if ``kept`` does not fit the model, and if a
    layer that stays would be of another kind in the shorter model.
    """
    config = model.config
    _check(type(model).__name__, config, anatomy, kept)
    if len(kept.layers) < anatomy.count and not can_be_shortened(type(model), config, kept.layers):
        gone = sorted(set(range(anatomy.count)) - set(kept.layers))
        raise ModelError(
            f"{type(model).__name__}: without layers {gone} its class gives those that stay another form; "
            "keep these layers"
        )
    changes = config_changes(config, anatomy, kept)
    has_even_width = bool(changes.keys() - shorter(config, kept.layers).keys())

    untold = []
    for part in anatomy.parts:
        if not _is_narrowed(part, kept):
            continue
        _narrow_part(model, part, kept.units[part.reader])
        if part.kind == "heads" or not has_even_width:
            untold.append(part)
    # Before layers get their new numbers, by which their modules will be called.
    structure = _structure(model, anatomy, kept, untold)
    _drop_layers(model, anatomy, kept)
    _change_configs(model, changes)
    return structure


def config_changes(model_config: PretrainedConfig, anatomy: Anatomy, kept: Kept) -> dict[str, object]:
    """Return what ``config.json`` must say of what is kept, under the names of the config's class.

    That is the number of layers, lists with an entry for each, and the width of feed-forward blocks if all
    have the same and the class has a key for it. ``model_config`` is the whole model's. Raises
    :class:`ModelError` if ``kept`` does not fit it.
    """
    _check(model_config.model_type, model_config, anatomy, kept)
    changes: dict[str, object] = {}
    if len(kept.layers) < anatomy.count:
        changes.update(shorter(model_config, kept.layers))
    width = _even_width(anatomy, kept)
    if width is not None:
        key = even_width_key(model_config, anatomy, width)
        if key is not None:
            changes[key] = width
    return changes


def _even_width(anatomy: Anatomy, kept: Kept) -> int | None:
    """Return how many neurons each feed-forward block keeps; None if that differs, or if all of them stay."""
    widths = set()
    is_narrowed = False
    for part in anatomy.parts:
        if part.kind == "neurons" and part.layer in kept.layers:
            widths.add(_left(part, kept))
            is_narrowed |= _is_narrowed(part, kept)
    if len(widths) != 1 or not is_narrowed:
        return None
    return widths.pop()


def _left(part: Part, kept: Kept) -> int:
    if part.reader not in kept.units:
        return part.units
    return len(kept.units[part.reader])


def _is_narrowed(part: Part, kept: Kept) -> bool:
    return part.layer in kept.layers and _left(part, kept) < part.units


def _narrow_part(model: nn.Module, part: Part, units: Tensor) -> None:
    take_away(model, part.reader, part.columns, {feeder.name: feeder.rows for feeder in part.feeders}, units)
    values = {}
    for name, count in part.counts.items():
        values[name] = count * len(units)
    set_attributes(model, values)


def _structure(model: nn.Module, anatomy: Anatomy, kept: Kept, parts: list[Part]) -> Structure | None:
    """List the matrices and counts of some parts under the names that they will have."""
    matrices = {}
    counts = {}
    for part in parts:
        old = f"{anatomy.layers}.{part.layer}."
        new = f"{anatomy.layers}.{kept.layers.index(part.layer)}."
        for name in (part.reader, *(feeder.name for feeder in part.feeders)):
            matrices[new + name.removeprefix(old)] = sizes(model.get_submodule(name))
        for name, count in part.counts.items():
            counts[new + name.removeprefix(old)] = count * len(kept.units[part.reader])
    if not matrices:
        return None
    return Structure(matrices, counts)


def _drop_layers(model: nn.Module, anatomy: Anatomy, kept: Kept) -> None:
    layers = layer_modules(model, anatomy.layers)
    left = [layers[number] for number in kept.layers]
    for number, layer in enumerate(left):
        renumber(layer, number)
    parent, _, name = anatomy.layers.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(left))


def _change_configs(model: nn.Module, changes: Mapping[str, object]) -> None:
    """Change the config of the model, and of those in it that have a copy."""
    for module in model.modules():
        config = getattr(module, "config", None)
        for name, value in changes.items():
            if hasattr(config, name):
                setattr(config, name, value)


def _check(name: str, config: PretrainedConfig, anatomy: Anatomy, kept: Kept) -> None:
    there = getattr(config, COUNT, None)
    if there != anatomy.count:
        raise ModelError(f"{name}: expected the whole model of {anatomy.count} layers, found {there} layers")
    _check_numbers(f"{name}: layers to keep", list(kept.layers), anatomy.count)
    parts = {part.reader: part for part in anatomy.parts}
    for reader, units in kept.units.items():
        if reader not in parts:
            raise ModelError(f"{name}: {reader} has no units that can be taken away; keep it whole")
        _check_numbers(f"{name}: units of {reader} to keep", units.tolist(), parts[reader].units)


def _check_numbers(what: str, numbers: list[int], count: int) -> None:
    is_ascending = numbers == sorted(set(numbers))
    if not numbers or not is_ascending or numbers[0] < 0 or numbers[-1] >= count:
        raise ModelError(f"{what}: expected ascending numbers of 0 to {count - 1}, found {numbers[:8]}")
