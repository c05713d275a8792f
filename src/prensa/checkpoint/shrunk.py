"""What became of a model's structure, as widths and sentences: the same in terminal, card and report.

Layers have the numbers that they have in the original, as in the names of its tensors. What a layer has of
one kind is added up: MobileBERT's have four feed-forward blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prensa.checkpoint.manifest import DistillReport, ShrinkReport
from prensa.wording import as_markdown, number, percent

PartKind = Literal["heads", "neurons"]
"""What may go inside a layer."""

KINDS: Mapping[PartKind, str] = {"heads": "heads", "neurons": "feed-forward"}
"""What tables call each kind, in the order in which a layer computes them."""

GONE = "gone"
"""What tables say of a layer that went."""

_NONE = "–"
_MINUTE = 60
# A speed is called missed below this share of what was wanted: two measurements differ by as much.
_REACHED = 0.98


@dataclass(frozen=True)
class LayerWidths:
    """One layer of the original, by its ``number`` there.

    ``before`` and ``after`` are how many units it had and has of each kind. A layer that went, or of which
    nothing could go, has none in them. ``cost`` is what its cuts were expected to change of the outputs, as
    a share of their variance, or its absence did; None if it has no cut.
    """

    number: int
    stays: bool
    before: Mapping[PartKind, int]
    after: Mapping[PartKind, int]
    cost: float | None

    def width(self, kind: PartKind) -> str:
        """``12 → 7``, ``12`` where all of them stay, ``gone`` for a layer that went."""
        if not self.stays:
            return GONE
        if kind not in self.before:
            return _NONE
        before, after = self.before[kind], self.after[kind]
        if before == after:
            return f"{before:,}"
        return f"{before:,} → {after:,}"


def layer_widths(report: ShrinkReport) -> list[LayerWidths]:
    """Return every layer of the original, those that went, too."""
    missed = {gone.layer: gone.cost for gone in report.gone}
    layers: list[LayerWidths] = []
    for layer in range(report.layers_before):
        before: dict[PartKind, int] = {}
        after: dict[PartKind, int] = {}
        cost = missed.get(layer)
        for part in report.parts:
            if part.layer != layer:
                continue
            before[part.kind] = before.get(part.kind, 0) + part.before
            after[part.kind] = after.get(part.kind, 0) + len(part.kept)
            # What stayed whole costs nothing, and is no cut.
            if len(part.kept) < part.before:
                cost = (cost or 0.0) + part.cost
        layers.append(LayerWidths(layer, layer in report.layers, before, after, cost))
    return layers


def kinds_in(report: ShrinkReport) -> list[PartKind]:
    """List the kinds of parts that could become narrower, in the order of tables."""
    there = {part.kind for part in report.parts}
    return [kind for kind in KINDS if kind in there]


def is_uneven(report: ShrinkReport) -> bool:
    """Whether a config alone cannot describe the result: heads went, or layers differ in width."""
    widths: set[int] = set()
    for part in report.parts:
        if part.kind == "neurons":
            widths.add(len(part.kept))
        elif len(part.kept) < part.before:
            return True
    return len(widths) > 1


def account(report: ShrinkReport) -> list[str]:
    """Say in a few sentences what went, how fast the result is, and how it was made good."""
    lines = [layers_in_words(report), speed_in_words(report), fitted_in_words(report)]
    if report.distilled is not None:
        lines.append(distilled_in_words(report.distilled))
    return lines


def markdown(report: ShrinkReport, *, needs_prensa: bool) -> str:
    """Say it for a model card, with the widths as a table, and who can load the result.

    ``needs_prensa`` is whether its format is one that only Prensa makes loadable.
    """
    # Names of files and processors are anybody's words, not markup.
    lines = [f"- {as_markdown(line)}" for line in account(report)]
    lines.append(f"- {loading_in_words(report, needs_prensa=needs_prensa)}")
    kinds = kinds_in(report)
    if not kinds:
        return "\n".join(lines)
    table = [
        f"| layer | {' | '.join(KINDS[kind] for kind in kinds)} |",
        f"|--:|{'--:|' * len(kinds)}",
    ]
    for layer in layer_widths(report):
        cells = " | ".join(layer.width(kind) for kind in kinds)
        table.append(f"| {layer.number} | {cells} |")
    return "\n".join([*lines, "", *table])


def loading_in_words(report: ShrinkReport, *, needs_prensa: bool) -> str:
    """Say who can load the result, and why."""
    if not needs_prensa:
        return "All layers have the same widths, so `transformers` loads it without Prensa."
    if is_uneven(report):
        return "Its layers are narrower than a config can say, so it loads after `import prensa`."
    return "Its config says all of this; `import prensa` is for the format of the weights."


def layers_in_words(report: ShrinkReport) -> str:
    """Say how many layers stay, and which are gone."""
    gone = sorted(set(range(report.layers_before)) - set(report.layers))
    if not gone:
        return f"Layers: all {report.layers_before} stay."
    numbers = ", ".join(map(str, gone))
    verb = "is" if len(gone) == 1 else "are"
    stay = f"{len(report.layers)} of {report.layers_before} stay"
    return f"Layers: {stay}; {numbers} {verb} gone (counted from 0)."


def speed_in_words(report: ShrinkReport) -> str:
    """Say how many times as fast the result is, and where that was measured."""
    text = f"Speed: {number(report.faster)} times as fast, measured in {report.where}"
    if report.faster < _REACHED * report.wanted:
        text += f"; {number(report.wanted)} was the aim"
    return f"{text}."


def fitted_in_words(report: ShrinkReport) -> str:
    """Say what the weights that stay were fitted on, and how far the outputs are off."""
    # Of the model that is rounded and stored next, an evaluation says more.
    return (
        f"Fitted on {report.fitted:,} texts of {report.texts}; before rounding, the outputs on others differ "
        f"by {percent(report.change)} of their variance."
    )


def distilled_in_words(report: DistillReport) -> str:
    """Say how long the result learnt, on how much, and what that did."""
    text = (
        f"Distilled: {report.steps:,} steps in {minutes(report.seconds)} on {report.texts:,} texts; loss "
        f"{report.loss_before:.3g} → {report.loss_after:.3g} on texts kept apart"
    )
    if report.stopped:
        text += "; stopped early"
    return f"{text}."


def minutes(seconds: float) -> str:
    """``90`` → ``"1.5 minutes"``; less than one in seconds."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} seconds"
    return f"{number(seconds / _MINUTE, 1)} minutes"
