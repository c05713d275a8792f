"""What can go and what it would cost: units of parts by second moments, whole layers by leaving them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from transformers.pytorch_utils import Conv1D

from prensa.checkpoint.manifest import GoneReport
from prensa.checkpoint.shrunk import PartKind
from prensa.errors import DataError, ModelError
from prensa.ops.statistics import Statistics
from prensa.ops.surgeon import RemovalPath, removal_path
from prensa.progress import Progress, silent
from prensa.runtime.deberta import fold
from prensa.runtime.sharing import sharing_weights
from prensa.shrink.anatomy import Anatomy, Part
from prensa.shrink.layers import layer_modules
from prensa.shrink.narrow import Kept, narrow
from prensa.shrink.quality import Yardstick
from prensa.shrink.recording import record

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

# Steps in which the neurons of a part go: so many at once change their prices little.
_STEPS = 96
# The narrowest a feed-forward block becomes, as a share of what it was: beyond that, layers go instead.
_LEAST = 1 / 32


@dataclass(frozen=True)
class Depth:
    """Layers that stay, and how far the outputs are off without the others, before anything is mended."""

    layers: tuple[int, ...]
    change: float


def removal_paths(
    model: PreTrainedModel,
    anatomy: Anatomy,
    kinds: Sequence[PartKind],
    statistics: Statistics,
    progress: Progress = silent,
) -> dict[str, RemovalPath]:
    """Return in which order the units of each part would go, by the name of the part's last matrix.

    Raises :class:`DataError` for a matrix whose inputs say nothing.
    """
    parts = [part for part in anatomy.parts if part.kind in kinds]
    paths: dict[str, RemovalPath] = {}
    for done, part in enumerate(parts):
        progress("pricing neurons and heads", done, len(parts))
        of_matrix = statistics.matrices.get(f"{part.reader}.weight")
        if of_matrix is None:
            raise DataError(
                f"{part.reader}: no text reaches this matrix; give texts like those to be answered"
            )
        weight = upright(model.get_submodule(part.reader))
        moment = of_matrix.moment.whole(torch.float64)
        try:
            paths[part.reader] = removal_path(
                weight, moment, of_matrix.importance, part.columns, step_of(part)
            )
        except ValueError as error:
            raise DataError(f"{part.reader}: {error}; give more texts") from error
    progress("pricing neurons and heads", len(parts), len(parts))
    return paths


def step_of(part: Part) -> int:
    """Return how many units go at once."""
    if part.kind == "heads":
        return 1
    return max(1, part.units // _STEPS)


def widths_left(part: Part, path: RemovalPath) -> dict[int, float]:
    """Return the numbers of units that a part may be left with, and what each costs the outputs."""
    least = 1
    if part.kind == "neurons":
        least = max(step_of(part), round(part.units * _LEAST))
    widths: dict[int, float] = {}
    for gone, cost in zip(path.gone, path.costs, strict=True):
        units = part.units - gone
        if units >= least:
            widths[units] = cost
    return widths


def depths(
    model: PreTrainedModel, anatomy: Anatomy, yardstick: Yardstick, most: int, progress: Progress = silent
) -> list[Depth]:
    """Take layers away one after the other, up to ``most``, each time the one that is missed least.

    The first depth has all layers. One without which the config would give others another form stays.

    A layer is hardly missed less when others are gone, too: so those that were missed more before than the
    best one is now are not tried again (the accelerated greedy algorithm of Minoux 1978).
    """
    found = [Depth(tuple(range(anatomy.count)), 0.0)]
    whole = sharing_weights(model)
    # Once, for all shorter models.
    fold(whole)
    missed = dict.fromkeys(found[0].layers, 0.0)
    for done in range(most):
        progress("pricing layers", done, most)
        before = found[-1].layers
        recording = record(_with_layers(whole, anatomy, before), anatomy.layers, yardstick)
        best: Depth | None = None
        for layer in sorted(before, key=missed.__getitem__):
            if best is not None and missed[layer] >= best.change:
                break
            layers = tuple(other for other in before if other != layer)
            try:
                shorter = _with_layers(whole, anatomy, layers)
            except ModelError:
                # Without this one, others would have another form.
                continue
            # Up to the layer that is gone, everything is as it was.
            recording.play(layer_modules(shorter, anatomy.layers), before.index(layer))
            missed[layer] = yardstick.change(shorter)
            if best is None or missed[layer] < best.change:
                best = Depth(layers, missed[layer])
        if best is None:
            break
        found.append(best)
    progress("pricing layers", most, most)
    return found


def gone(found: Sequence[Depth], layers: tuple[int, ...]) -> tuple[GoneReport, ...]:
    """Return what each layer cost that is not among ``layers``, one of the depths, the first gone first."""
    reports: list[GoneReport] = []
    for before, after in pairwise(found):
        # Each depth has one layer less than the one before.
        if not set(layers) <= set(after.layers):
            break
        (layer,) = set(before.layers) - set(after.layers)
        reports.append(GoneReport(layer, after.change - before.change))
    return tuple(reports)


def upright(module: nn.Module) -> Tensor:
    """Return a matrix's weight ``[outputs, inputs]``: GPT-2's are stored the other way round."""
    weight = module.weight
    assert isinstance(weight, torch.Tensor)  # noqa: S101  readers are linear layers
    detached = weight.detach()
    return detached.t() if isinstance(module, Conv1D) else detached


def _with_layers(model: PreTrainedModel, anatomy: Anatomy, layers: tuple[int, ...]) -> PreTrainedModel:
    fewer = sharing_weights(model)
    nothing: Mapping[str, Tensor] = {}
    narrow(fewer, anatomy, Kept(layers, nothing))
    return fewer
