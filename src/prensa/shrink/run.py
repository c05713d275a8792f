"""From a plan to a smaller model: statistics, prices, clock, choice, repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.calibration.collect import collect
from prensa.checkpoint.manifest import PartReport, ShrinkReport
from prensa.checkpoint.structure import Structure
from prensa.ops.surgeon import RemovalPath
from prensa.progress import Progress, silent
from prensa.runtime.deberta import fold, unfold
from prensa.runtime.release import release_memory
from prensa.runtime.sharing import sharing_weights
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on
from prensa.shrink.anatomy import Part
from prensa.shrink.choice import Width, choose, even
from prensa.shrink.clock import Clock
from prensa.shrink.cuts import Depth, depths, gone, removal_paths, widths_left
from prensa.shrink.narrow import Kept, config_changes, narrow
from prensa.shrink.plan import ShrinkPlan, rows_of
from prensa.shrink.quality import Yardstick, batches_of
from prensa.shrink.repair import Fit, LayerFit, repair
from prensa.shrink.stream import Batch, batch_of
from prensa.shrink.timing import Measure, measured_clock
from prensa.shrink.write import write_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Texts that layers are missed on, and that candidates are fitted on before one is taken.
_FEW, _SOME = 48, 192
# Candidates that are tried for real.
_TRIED = 3
# No more than this share of the layers goes.
_MOST_LAYERS = 0.5
# How often a choice is corrected by what it really takes, and how near is near enough: times are no nearer.
_CORRECTIONS, _NEAR = 3, 0.04


class Unreached(Exception):  # noqa: N818  no error: an answer to what was asked
    """No structure is so fast; ``fastest`` is how many times as fast the fastest one is."""

    def __init__(self, fastest: float) -> None:
        """Remember what was reached."""
        super().__init__(f"{fastest:.2f}")
        self.fastest = fastest


@dataclass(frozen=True)
class Prepared:
    """Everything that is measured once, whatever is to be reached afterwards."""

    plan: ShrinkPlan
    original: PreTrainedModel
    paths: Mapping[str, RemovalPath]
    depths: Sequence[Depth]
    clock: Clock
    yardstick: Yardstick
    measure: Measure

    @property
    def seconds(self) -> float:
        """What the original takes by the clock."""
        return self.clock.rest(self.plan.anatomy.count) + sum(
            width.seconds for width in self.widest(self.depths[0].layers).values()
        )

    def parts(self, layers: tuple[int, ...]) -> list[Part]:
        """Return the parts that may become narrower where these layers stay."""
        return [
            part for part in self.plan.anatomy.parts if part.reader in self.paths and part.layer in layers
        ]

    def widths(self, layers: tuple[int, ...]) -> dict[str, list[Width]]:
        """Return what each part may become, the widest first."""
        widths: dict[str, list[Width]] = {}
        for part in self.parts(layers):
            is_last = part.layer == layers[-1]
            of_part: list[Width] = []
            for units, cost in widths_left(part, self.paths[part.reader]).items():
                seconds = self.clock.part(part.kind, units, last=is_last)
                of_part.append(Width(units, seconds, cost))
            widths[part.reader] = of_part
        return widths

    def widest(self, layers: tuple[int, ...]) -> dict[str, Width]:
        """Return every part as it is."""
        return {name: widths[0] for name, widths in self.widths(layers).items()}


@dataclass(frozen=True)
class Candidate:
    """A structure: the layers that stay, the width of each part, and what all cuts are expected to cost."""

    layers: tuple[int, ...]
    widths: Mapping[str, Width]
    cost: float


@dataclass(frozen=True)
class Shrunk:
    """A smaller model, and what its files and its manifest say of it.

    It has weights of its own where something changed, and shares all others with its original.
    """

    model: PreTrainedModel
    structure: Structure | None
    config_changes: Mapping[str, object]
    report: ShrinkReport


def prepare(
    plan: ShrinkPlan,
    measure: Measure,
    where: str,
    progress: Progress = silent,
    clock: Clock | None = None,
) -> Prepared:
    """Measure what the outputs depend on, and what everything takes unless a ``clock`` is known already.

    ``where`` names what ``measure`` times. Raises what loading, calibrating and measuring raise.
    """
    statistics = collect(plan.calibration, progress)
    original = load_on(plan.path, torch.float32, "cpu", plan.fitted.fill["input_ids"])
    paths = removal_paths(original, plan.anatomy, plan.kinds, statistics, progress)
    del statistics
    release_memory()
    if clock is None:
        progress("timing layers and widths", 0, 1)
        clock = measured_clock(original, plan.anatomy, measure, where)
        release_memory()
    kind = plan.calibration.kind
    pool = read_text_vector(plan.path, kind)
    yardstick = Yardstick.of(original, plan.apart, kind, pool)
    of_depths: list[Depth] = [Depth(tuple(range(plan.anatomy.count)), 0.0)]
    if plan.settings.layers:
        few = Yardstick.of(original, rows_of(plan.apart, range(min(_FEW, len(plan.apart.rows)))), kind, pool)
        most = int(plan.anatomy.count * _MOST_LAYERS)
        of_depths = depths(original, plan.anatomy, few, most, progress)
        release_memory()
    return Prepared(plan, original, paths, of_depths, clock, yardstick, measure)


def shrunk(prepared: Prepared, faster: float, progress: Progress = silent) -> Shrunk:
    """Make the original ``faster`` times as fast, at the least change of its outputs.

    Raises :class:`Unreached` where nothing is so fast.
    """
    candidate, times = _fast_enough(prepared, faster, progress)
    kept = _kept(prepared, candidate)
    small, structure = _narrowed(prepared, kept)
    _repair(prepared, small, kept, _batches(prepared, len(prepared.plan.fitted.rows)), progress)
    changes = config_changes(prepared.original.config, prepared.plan.anatomy, kept)
    report = ShrinkReport(
        layers_before=prepared.plan.anatomy.count,
        layers=kept.layers,
        parts=_part_reports(prepared, candidate, kept),
        wanted=faster,
        faster=times,
        where=prepared.clock.where,
        clock=prepared.clock.measured,
        texts=prepared.plan.source,
        fitted=len(prepared.plan.fitted.rows),
        change=prepared.yardstick.change(small),
        gone=gone(prepared.depths, kept.layers),
    )
    return Shrunk(small, structure, changes, report)


def write_shrunk(result: Shrunk, original: Path, directory: Path) -> None:
    """Write a smaller model as a model directory, for everything that comes after shrinking."""
    write_model(result.model, original, directory, result.structure, result.config_changes)


def candidates(prepared: Prepared, faster: float) -> list[Candidate]:
    """Return the best structure for each depth that reaches a speed, the cheapest first.

    Raises :class:`Unreached` where none does.
    """
    found: list[Candidate] = []
    quickest = prepared.seconds
    for depth in prepared.depths:
        rest = prepared.clock.rest(len(depth.layers))
        widths = prepared.widths(depth.layers)
        quickest = min(quickest, rest + _narrowest(widths))
        chosen = _chosen(prepared.plan, widths, prepared.seconds / faster - rest)
        if chosen is not None:
            cost = depth.change + sum(width.cost for width in chosen.values())
            found.append(Candidate(depth.layers, chosen, cost))
    if not found:
        raise Unreached(prepared.seconds / quickest)
    return sorted(found, key=attrgetter("cost"))


def _narrowest(widths: Mapping[str, Sequence[Width]]) -> float:
    return sum(of_part[-1].seconds for of_part in widths.values())


def _chosen(
    plan: ShrinkPlan, widths: Mapping[str, Sequence[Width]], seconds: float
) -> Mapping[str, Width] | None:
    if not widths:
        return {} if seconds >= 0 else None
    if not plan.even:
        return choose(widths, seconds)
    one_width = even(list(widths.values()), seconds)
    if one_width is None:
        return None
    return dict(zip(widths, one_width, strict=True))


def _fast_enough(prepared: Prepared, faster: float, progress: Progress) -> tuple[Candidate, float]:
    """Return the best candidate that really is so fast, and how fast it is.

    Raises :class:`Unreached` where none of them is.
    """
    fastest = 0.0
    for candidate in _best_first(prepared, faster, progress):
        found, times = _corrected(prepared, candidate, faster, progress)
        if times >= faster * (1 - _NEAR):
            return found, times
        fastest = max(fastest, times)
    raise Unreached(fastest)


def _best_first(prepared: Prepared, faster: float, progress: Progress) -> list[Candidate]:
    """Try the most promising candidates for real, on some of the texts, and sort them by what they change."""
    found = candidates(prepared, faster)
    tried = found[:_TRIED]
    if len(tried) == 1:
        return found
    changes: list[float] = []
    some = _batches(prepared, _SOME)
    for number, candidate in enumerate(tried):
        progress("trying structures", number, len(tried))
        kept = _kept(prepared, candidate)
        small, _ = _narrowed(prepared, kept)
        _repair(prepared, small, kept, some, silent)
        changes.append(prepared.yardstick.change(small))
        del small
        release_memory()
    progress("trying structures", len(tried), len(tried))
    order = sorted(range(len(tried)), key=changes.__getitem__)
    best_first = [tried[number] for number in order]
    return best_first + found[_TRIED:]


def _corrected(
    prepared: Prepared, candidate: Candidate, faster: float, progress: Progress
) -> tuple[Candidate, float]:
    """Choose again where the structure is not as fast, or faster than wanted; return how fast it is, too."""
    best = candidate
    rest = prepared.clock.rest(len(candidate.layers))
    widths = prepared.widths(candidate.layers)
    seconds = prepared.seconds / faster
    times = 0.0
    for turn in range(_CORRECTIONS + 1):
        progress("timing the structure", turn, _CORRECTIONS + 1)
        small, _ = _narrowed(prepared, _kept(prepared, best))
        before, after = prepared.measure([prepared.original, small])
        del small
        release_memory()
        times = before / after
        is_near = 1 - _NEAR <= times / faster <= 1 + _NEAR
        if is_near or turn == _CORRECTIONS:
            break
        # What the clock does not know of is as large a share next time.
        seconds *= times / faster
        chosen = _chosen(prepared.plan, widths, seconds - rest)
        if chosen is None:
            break
        best = Candidate(candidate.layers, chosen, candidate.cost)
    progress("timing the structure", 1, 1)
    return best, times


def _kept(prepared: Prepared, candidate: Candidate) -> Kept:
    units = {}
    for name, width in candidate.widths.items():
        units[name] = prepared.paths[name].kept(width.units)
    return Kept(candidate.layers, units)


def _narrowed(prepared: Prepared, kept: Kept) -> tuple[PreTrainedModel, Structure | None]:
    small = sharing_weights(prepared.original)
    structure = narrow(small, prepared.plan.anatomy, kept)
    return small, structure


def _batches(prepared: Prepared, texts: int) -> list[Batch]:
    """Return some of the texts, evenly chosen, as they are before the first layer of the folded original."""
    original, fitted = prepared.original, prepared.plan.fitted
    stride = max(1, len(fitted.rows) // texts)
    # Folded, so that positions are projected once and not for every batch; weights stay the same.
    fold(original)
    try:
        layers = list(original.get_submodule(prepared.plan.anatomy.layers))
        some = batches_of(fitted, range(0, len(fitted.rows), stride))
        return [batch_of(original, layers, inputs) for inputs in some]
    finally:
        unfold(original)


def _repair(
    prepared: Prepared, small: PreTrainedModel, kept: Kept, batches: Sequence[Batch], progress: Progress
) -> None:
    """Fit what stays, in place."""
    original = prepared.original
    # As the batches were made.
    fold(original)
    fold(small)
    try:
        repair(_layer_fits(prepared, small, kept), batches, progress)
    finally:
        unfold(original)
        unfold(small)


def _layer_fits(prepared: Prepared, small: PreTrainedModel, kept: Kept) -> list[LayerFit]:
    anatomy = prepared.plan.anatomy
    fits: list[LayerFit] = []
    for number in range(anatomy.count):
        original = prepared.original.get_submodule(f"{anatomy.layers}.{number}")
        if number not in kept.layers:
            fits.append(LayerFit(original, None, ()))
            continue
        place = kept.layers.index(number)
        of_layer: list[Fit] = []
        for part in anatomy.parts:
            if part.layer == number:
                inner = part.reader.removeprefix(f"{anatomy.layers}.{number}.")
                reader = small.get_submodule(f"{anatomy.layers}.{place}.{inner}")
                of_layer.append(Fit(prepared.original.get_submodule(part.reader), reader))
        layer = small.get_submodule(f"{anatomy.layers}.{place}")
        fits.append(LayerFit(original, layer, tuple(of_layer)))
    return fits


def _part_reports(prepared: Prepared, candidate: Candidate, kept: Kept) -> tuple[PartReport, ...]:
    reports: list[PartReport] = []
    for part in prepared.plan.anatomy.parts:
        if part.reader in candidate.widths:
            units = tuple(kept.units[part.reader].tolist())
            cost = candidate.widths[part.reader].cost
            reports.append(PartReport(part.layer, part.kind, part.units, units, cost))
    return tuple(reports)
