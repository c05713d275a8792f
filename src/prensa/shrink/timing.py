"""The clock of a model, from a few small variants of it that are timed in turns.

Layers are alike, so a model of three of them says what one takes; the last one stands apart, since a
classifier reads one token of it. What widths take is additive over layers and parts, as Kwon et al. 2022
(arXiv 2204.09656, section 4.2) and ZipLM (Kurtić et al. 2023, arXiv 2302.04089, section 3.2) found with such
tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint.shrunk import PartKind
from prensa.runtime.sharing import sharing_weights
from prensa.shrink.anatomy import Anatomy, Part
from prensa.shrink.clock import Clock, Points
from prensa.shrink.narrow import Kept, narrow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Measure = Callable[[Sequence["PreTrainedModel"]], list[float]]
"""Returns the seconds that each model takes for the same texts."""

_ALL, _FEWER = "three layers", "two layers"
# How many layers the variants have: a last one, and others.
_TIMED = 3
# Widths that are measured beside the full one, as shares of it.
_SHARES = (0.5, 0.0625)
# No part is timed with less.
_LEAST = 1


@dataclass(frozen=True)
class _Variant:
    """A small model to be timed: which layers of the original it has, and how many units of some parts."""

    layers: tuple[int, ...]
    units: Mapping[str, int]


def measured_clock(model: PreTrainedModel, anatomy: Anatomy, measure: Measure, where: str = "") -> Clock:
    """Time a few variants of a model, and return what follows for every other one."""
    variants = _variants(anatomy)
    models = [_made(model, anatomy, variant) for variant in variants.values()]
    times = dict(zip(variants, measure(models), strict=True))
    # What one layer takes, all units included; a clock that runs backwards there is noise.
    layer = max(times[_ALL] - times[_FEWER], 0.0)
    typical: dict[PartKind, Points] = {}
    last: dict[PartKind, Points] = {}
    for kind, part in _parts(anatomy, 0).items():
        typical[kind] = _points(times, kind, part.units, layers=_inner(anatomy))
        last[kind] = _points(times, f"last {kind}", part.units, layers=1)
    of_units = _of_whole_layer(anatomy, typical)
    of_last = _of_whole_layer(anatomy, last)
    others = _inner(anatomy) * layer
    return Clock(
        outside=max(times[_ALL] - others - of_last, 0.0),
        layer=max(layer - of_units, 0.0),
        typical=typical,
        last=last,
        where=where,
        measured=times,
    )


def _inner(anatomy: Anatomy) -> int:
    """How many layers of the variant with all of them are not the last."""
    return min(anatomy.count, _TIMED) - 1


def _parts(anatomy: Anatomy, layer: int) -> dict[PartKind, Part]:
    """Return one part of each kind; where a layer has several of a kind, they are alike."""
    return {part.kind: part for part in anatomy.parts if part.layer == layer}


def _of_whole_layer(anatomy: Anatomy, points: Mapping[PartKind, Points]) -> float:
    """Return what all units of a layer take."""
    counts = Counter(part.kind for part in anatomy.parts if part.layer == 0)
    return sum(counts[kind] * of_part[-1][1] for kind, of_part in points.items())


def _variants(anatomy: Anatomy) -> dict[str, _Variant]:
    # The first layers, since these keep their numbers, which some classes go by: ModernBERT's first is a kind
    # of its own. The last of them becomes the one that may compute fewer tokens.
    layers = tuple(range(min(anatomy.count, _TIMED)))
    inner, last = layers[:-1], layers[-1]
    variants = {_ALL: _Variant(layers, {})}
    # Of a model with one layer nothing else can be told apart.
    variants[_FEWER] = _Variant(inner or layers, {})
    for kind, part in _parts(anatomy, 0).items():
        for units in _levels(part.units):
            narrow_parts = {_parts(anatomy, layer)[kind].reader: units for layer in inner}
            variants[_name(kind, units)] = _Variant(layers, narrow_parts)
        least = _levels(part.units)[-1]
        of_last = {_parts(anatomy, last)[kind].reader: least}
        variants[_name(f"last {kind}", least)] = _Variant(layers, of_last)
    return variants


def _name(what: str, units: int) -> str:
    return f"{what}: {units}"


def _levels(units: int) -> list[int]:
    """Return the widths to measure, the widest first, without the full one."""
    levels = {max(_LEAST, round(units * share)) for share in _SHARES}
    return sorted(levels - {units}, reverse=True) or [units]


def _made(model: PreTrainedModel, anatomy: Anatomy, variant: _Variant) -> PreTrainedModel:
    small = sharing_weights(model)
    # Which units stay changes no time.
    units = {reader: torch.arange(count) for reader, count in variant.units.items()}
    narrow(small, anatomy, Kept(variant.layers, units))
    return small


def _points(times: Mapping[str, float], what: str, full: int, layers: int) -> Points:
    """Return what units of a part take beyond the fewest that were measured."""
    saved: dict[int, float] = {full: 0.0}
    for units in _levels(full):
        name = _name(what, units)
        if name in times and layers:
            saved[units] = (times[_ALL] - times[name]) / layers
    most = max(saved.values())
    points: list[tuple[int, float]] = []
    slowest = 0.0
    for units in sorted(saved):
        # More units never take less time: what says otherwise is noise.
        slowest = max(slowest, most - saved[units])
        points.append((units, slowest))
    return points
