"""The report's charts: Vega-Lite specifications, drawn as SVG by ``vl-convert`` without a browser.

Colours are CSS variables of the page, so that one drawing serves light, dark and print. Each chart is
narrow enough for a phone. Numbers stand in tables beside them; a chart is one image to a screen reader,
described in a sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, get_args

from prensa.checkpoint.manifest import Manifest, ShrinkReport, TensorReport, by_role
from prensa.checkpoint.shrunk import KINDS, kinds_in, layer_widths
from prensa.evaluation.frontier import Kind, Point
from prensa.evaluation.results import Evaluation, Model, Timing
from prensa.ops.spec import ROLES, Role

# Of the plot in pixels; labels come beside it.
_WIDTH = 300
_VERSION = "5.21"
_HEADERS, _GONE = "headers", "taken away"
_LAYER = re.compile(r"(?:(?P<path>[\w.]*?)\.)?(?P<number>\d+)\.")
_CONFIG = {
    "aria": False,
    "background": None,
    "padding": {"left": 12, "top": 4, "right": 12, "bottom": 4},
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 120,
    },
    "axisX": {"tickCount": 5},
    "legend": {
        "labelColor": "currentColor",
        "orient": "bottom",
        "title": None,
        "labelFontSize": 12,
        "columns": 3,
        "columnPadding": 18,
    },
}

Spec = Mapping[str, object]
"""A part of a Vega-Lite specification."""

Values = Sequence[Mapping[str, object]]
"""What a chart draws: a mapping for each mark, of fields to values."""

_NOMINAL_ROWS = {"type": "nominal", "sort": None, "title": None}


class _Size(TypedDict, total=False):
    model: str
    kind: str
    megabytes: float
    order: int


class _Point(TypedDict):
    kind: str
    name: str
    megabytes: float
    drop: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """A drawing: what it shows in a few words, in a sentence, and as SVG."""

    title: str
    description: str
    svg: str


def size_chart(evaluation: Evaluation, manifests: Mapping[str, Manifest]) -> Chart | None:
    """Draw the bytes of each kind of tensor, before and after, as stacked bars."""
    models = [model for model in evaluation.results if model.name in manifests]
    if not models:
        return None

    # A result may have been made from the same model in another dtype: then that is what it is compared with.
    first = manifests[models[0].name]
    before = "before pressing"
    if first.nbytes_before == evaluation.original.weight_bytes:
        before = "original"
    values = _sizes_before(before, first)
    for model in models:
        values += _sizes_after(model.name, manifests[model.name])

    # Bars are stacked in the order of the legend.
    drawn = {value["kind"] for value in values}
    kinds = [kind for kind in (*ROLES, _GONE, _HEADERS) if kind in drawn]
    for value in values:
        value["order"] = kinds.index(value["kind"])
    spec = {
        "height": {"step": 34},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "model", **_NOMINAL_ROWS},
            "x": {"field": "megabytes", "type": "quantitative", "title": "MB"},
            "color": _colour("kind", kinds),
            "order": {"field": "order"},
        },
    }
    totals = ", ".join(f"{name} {total:.1f} MB" for name, total in _totals(values).items())
    return Chart("Size by kind of tensor", f"Stacked bars. In all: {totals}.", _draw(spec, values))


def bits_chart(evaluation: Evaluation, manifests: Mapping[str, Manifest]) -> Chart | None:
    """Draw the stored bits per weight of each layer."""
    models = [model.name for model in evaluation.results if model.name in manifests]
    values = []
    numbers = []
    for name in models:
        for layer, tensors in _layers(manifests[name].tensors).items():
            # The weights of a tied tensor are counted where they are stored.
            weights = sum(tensor.numel for tensor in tensors if tensor.codec != "tied")
            if not weights:
                continue
            bits = 8 * sum(tensor.nbytes for tensor in tensors) / weights
            numbers.append(round(bits, 4))
            values.append({"model": name, "layer": layer, "bits": round(bits, 4)})
    if not values:
        return None
    spec = {
        "height": {"step": 20},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "layer", **_NOMINAL_ROWS},
            "x": {"field": "bits", "type": "quantitative", "title": "bits per weight"},
            "color": _colour("model", models, first=1),
            "yOffset": {"field": "model", "sort": None},
        },
    }
    text = f"Bars, one for each layer: from {min(numbers):.2f} to {max(numbers):.2f} bits for a weight."
    return Chart("Bits per weight, layer by layer", text, _draw(spec, values))


def structure_chart(name: str, report: ShrinkReport) -> Chart | None:
    """Draw what share of its heads and neurons each layer still has; None if only layers went."""
    kinds = kinds_in(report)
    values = []
    for layer in layer_widths(report):
        for kind in kinds:
            # A layer that went keeps its row, without a bar.
            left = 0.0
            if kind in layer.after:
                left = layer.after[kind] / layer.before[kind]
            values.append({"layer": str(layer.number), "kind": KINDS[kind], "left": round(left, 4)})
    if not values:
        return None
    spec = {
        "height": {"step": 20},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "layer", **_NOMINAL_ROWS, "title": "layer"},
            "x": {
                "field": "left",
                "type": "quantitative",
                "title": "of the original's",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%"},
            },
            "color": _colour("kind", [KINDS[kind] for kind in kinds]),
            "yOffset": {"field": "kind", "sort": None},
        },
    }
    text = f"Bars, one for each layer and kind; {len(report.layers)} of {report.layers_before} layers stay."
    return Chart(f"What is left in each layer of {name}", text, _draw(spec, values))


def latency_charts(evaluation: Evaluation) -> list[Chart]:
    """Draw how long one text takes, at each length, as box plots of all rounds."""
    models = [("original", evaluation.original)]
    models += [(result.name, result) for result in evaluation.results]
    charts = []
    for index, timing in enumerate(evaluation.original.timings):
        if timing.batch_size == 1:
            charts.append(_latency_chart(models, index, timing))
    return charts


def _latency_chart(models: Sequence[tuple[str, Model]], index: int, timing: Timing) -> Chart:
    """Draw the timings that stand at one place in those of each model: they are of the same texts."""
    values = []
    for name, model in models:
        # An interruption leaves a model with fewer timings.
        if index >= len(model.timings):
            continue
        for seconds in model.timings[index].seconds:
            milliseconds = round(1e3 * seconds, 4)
            values.append({"model": name, "ms": milliseconds})
    spec = {
        "height": {"step": 30},
        "mark": {
            "type": "boxplot",
            "extent": "min-max",
            "size": 16,
            "median": {"color": "var(--page)"},
            "rule": {"color": "currentColor"},
            "ticks": {"color": "currentColor"},
        },
        "encoding": {
            "y": {"field": "model", **_NOMINAL_ROWS},
            "x": {
                "field": "ms",
                "type": "quantitative",
                "title": "milliseconds",
                "scale": {"zero": False},
            },
            "color": {**_colour("model", [name for name, _ in models]), "legend": None},
        },
    }
    return Chart(
        f"Time for one text of {timing.tokens} tokens",
        f"Box plots of {len(timing.seconds)} rounds: shortest, middle half, median, longest.",
        _draw(spec, values),
    )


def reliability_chart(result: Model) -> Chart | None:
    """Draw how often answers are right, by how sure the models are of them."""
    quality = result.quality
    if quality is None or not quality.reliability:
        return None
    bins = {"original": quality.reliability_original, result.name: quality.reliability}
    values = []
    for name, of_model in bins.items():
        for each in of_model:
            value = {
                "model": name,
                "confidence": each.confidence,
                "right": each.right,
                "answers": each.count,
            }
            values.append(value)
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": ".0%"}}
    ideal = {
        "data": {"values": [{"confidence": 0, "right": 0}, {"confidence": 1, "right": 1}]},
        "mark": {"type": "line", "color": "currentColor", "strokeDash": [3, 3], "strokeWidth": 1},
    }
    answers = {
        "data": {"values": values},
        "mark": {"type": "line", "point": {"filled": True}},
        "encoding": {"color": _colour("model", list(bins))},
    }
    spec = {
        "height": 220,
        "encoding": {
            "x": {"field": "confidence", "title": "how sure the model is"} | axis,
            "y": {"field": "right", "title": "how often it is right"} | axis,
        },
        "layer": [ideal, answers],
    }
    text = "Lines of both models beside the dashed ideal, on which a model is right as often as it says."
    return Chart(f"Reliability of {result.name}", text, _draw(spec, []))


def frontier_chart(points: Sequence[Point]) -> Chart | None:
    """Draw bytes against the drop of each point, or against the share of changed answers."""
    values: list[_Point] = []
    for point in points:
        if point.drop is None:
            continue
        # Without an interval the bar has no length.
        low, high = point.interval or (point.drop, point.drop)
        values.append(
            {
                "kind": point.kind,
                "name": point.name,
                "megabytes": point.nbytes / 1e6,
                "drop": 100 * point.drop,
                "low": 100 * low,
                "high": 100 * high,
            }
        )
    if not values:
        return None
    drawn = {value["kind"] for value in values}
    kinds = [kind for kind in get_args(Kind) if kind in drawn]
    x = {"field": "megabytes", "type": "quantitative", "title": "MB", "scale": {"type": "log"}}
    y = {"type": "quantitative", "title": "drop, points"}
    colour = _colour("kind", kinds)
    spec = {
        "height": 260,
        "layer": [
            {
                "mark": {"type": "rule", "opacity": 0.5},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
            },
            {
                "transform": [{"filter": "datum.kind == 'calibrated'"}],
                "mark": {"type": "line"},
                "encoding": {"x": x, "y": {**y, "field": "drop"}, "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60},
                "encoding": {"x": x, "y": {**y, "field": "drop"}, "color": colour},
            },
        ],
    }
    smallest = min(values, key=lambda value: value["megabytes"])
    described = (
        f"{len(values)} points, from {smallest['megabytes']:.1f} MB at {smallest['drop']:.2f} points lost"
    )
    return Chart("Size against quality", f"{described}; bars are 95 % intervals.", _draw(spec, values))


def _draw(spec: Spec, values: Values) -> str:
    import vl_convert

    whole = {"width": _WIDTH, "config": _CONFIG, **spec}
    # A chart of several layers has its values in them.
    if values:
        whole["data"] = {"values": values}
    svg: str = vl_convert.vegalite_to_svg(whole, vl_version=_VERSION)
    # What holds the drawing on the page describes it to a screen reader.
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)


def _colour(field: str, domain: Sequence[str], first: int = 0) -> dict[str, object]:
    colours = [f"var(--series-{1 + (first + index) % 8})" for index in range(len(domain))]
    return {"field": field, "type": "nominal", "scale": {"domain": list(domain), "range": colours}}


def _sizes_before(model: str, manifest: Manifest) -> list[_Size]:
    sizes = {}
    for role, tensors in by_role(manifest.tensors).items():
        sizes[role] = sum(tensor.nbytes_before for tensor in tensors)
    rest = _HEADERS if manifest.shrink is None else _GONE
    return _with_rest(model, sizes, manifest.nbytes_before, rest)


def _sizes_after(model: str, manifest: Manifest) -> list[_Size]:
    sizes = {}
    for role, tensors in by_role(manifest.tensors).items():
        sizes[role] = sum(tensor.nbytes for tensor in tensors)
    return _with_rest(model, sizes, manifest.nbytes, _HEADERS)


def _with_rest(model: str, sizes: Mapping[Role, int], nbytes: int, rest: str) -> list[_Size]:
    """Make the values of one bar. ``rest`` is what its files hold besides these tensors."""
    others = max(0, nbytes - sum(sizes.values()))
    values: list[_Size] = []
    for kind, size in [*sizes.items(), (rest, others)]:
        if size:
            values.append({"model": model, "kind": kind, "megabytes": size / 1e6})
    return values


def _totals(values: Sequence[_Size]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for value in values:
        totals[value["model"]] += value["megabytes"]
    return totals


def _layers(tensors: Sequence[TensorReport]) -> dict[str, list[TensorReport]]:
    """Group tensors by layer, ``encoder.layer.3``, in the order of their numbers; the rest by kind, first."""
    # Sorted by path and number, not by name: layer 10 comes behind layer 2. A space sorts before letters.
    groups: dict[tuple[str, int], list[TensorReport]] = defaultdict(list)
    for tensor in tensors:
        layer = _LAYER.match(tensor.name)
        if layer:
            parts = (layer["path"] or "").split(".")
            path = ".".join(parts[-2:])
            groups[path, int(layer["number"])].append(tensor)
        else:
            groups[f" {tensor.role}", -1].append(tensor)

    layers = {}
    for path, number in sorted(groups):
        name = path.strip()
        if number >= 0:
            name = f"{path}.{number}".lstrip(".")
        layers[name] = groups[path, number]
    return layers
