"""What became of a result's structure, for the page: a table of widths, a chart, and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prensa.checkpoint.manifest import Manifest, ShrinkReport
from prensa.checkpoint.shrunk import GONE, KINDS, LayerWidths, account, kinds_in, layer_widths
from prensa.evaluation.results import Evaluation
from prensa.report.charts import Chart, structure_chart
from prensa.report.table import NONE, Table
from prensa.wording import percent

_NOTE = (
    "Layers have their numbers in the original. The expected change is what a layer's cuts were estimated to "
    "change of the outputs, as a share of their variance, before the rest was fitted to make good for it."
)


@dataclass(frozen=True)
class Structure:
    """What the page shows of one result: its ``name``, sentences, a table, and charts of its widths."""

    name: str
    account: tuple[str, ...]
    table: Table
    charts: tuple[Chart, ...]


def structures(evaluation: Evaluation, manifests: Mapping[str, Manifest]) -> list[Structure]:
    """Return one for each result that was shrunk, in the order of the results."""
    found: list[Structure] = []
    for result in evaluation.results:
        manifest = manifests.get(result.name)
        if manifest is None or manifest.shrink is None:
            continue
        chart = structure_chart(result.name, manifest.shrink)
        charts = () if chart is None else (chart,)
        found.append(
            Structure(
                result.name,
                tuple(account(manifest.shrink)),
                structure_table(result.name, manifest.shrink),
                charts,
            )
        )
    return found


def structure_table(name: str, report: ShrinkReport) -> Table:
    """Make the table: the widths of each layer before and after, and what its cuts were expected to cost."""
    kinds = kinds_in(report)
    rows: list[tuple[str, ...]] = []
    for layer in layer_widths(report):
        widths = [layer.width(kind) for kind in kinds]
        # Without widths there is still to say whether a layer stays.
        if not kinds:
            widths = ["stays" if layer.stays else GONE]
        rows.append((f"layer {layer.number}", *widths, _cost(layer)))
    columns = [KINDS[kind] for kind in kinds] or ["layers"]
    return Table(f"Layers of {name}", ("", *columns, "expected change"), tuple(rows), _NOTE)


def _cost(layer: LayerWidths) -> str:
    if layer.cost is None:
        return NONE
    return percent(layer.cost)
