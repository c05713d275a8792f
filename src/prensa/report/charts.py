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
from typing import Any, get_args

from prensa.checkpoint.manifest import Manifest, TensorReport
from prensa.evaluation.results import Evaluation, Model
from prensa.search.frontier import Kind, Point
from prensa.spec import ROLES

_WIDTH = 300  # of the plot in pixels; labels come beside it
_VERSION = "5.21"
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

Values = list[dict[str, Any]]


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
    first = manifests[models[0].name]
    is_same = first.nbytes_before == evaluation.original.weight_bytes
    before = "original" if is_same else "before pressing"  # from a file in another dtype, perhaps
    values = _by_kind(before, first.tensors, first.nbytes_before, "nbytes_before")
    for model in models:
        manifest = manifests[model.name]
        values += _by_kind(model.name, manifest.tensors, manifest.nbytes, "nbytes")
    kinds = [kind for kind in (*ROLES, "headers") if any(value["kind"] == kind for value in values)]
    order = {kind: index for index, kind in enumerate(kinds)}
    for value in values:
        value["order"] = order[value["kind"]]
    spec = {
        "height": {"step": 34},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "model", "type": "nominal", "sort": None, "title": None},
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
    values: Values = []
    for name in models:
        for layer, tensors in _layers(manifests[name].tensors).items():
            weights = sum(tensor.numel for tensor in tensors if tensor.codec != "tied")
            if weights:
                bits = 8 * sum(tensor.nbytes for tensor in tensors) / weights
                values.append({"model": name, "layer": layer, "bits": round(bits, 4)})
    if not values:
        return None
    spec = {
        "height": {"step": 20},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "layer", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "bits", "type": "quantitative", "title": "bits per weight"},
            "color": _colour("model", models, first=1),
            "yOffset": {"field": "model", "sort": None},
        },
    }
    most, least = (choose(value["bits"] for value in values) for choose in (max, min))
    text = f"Bars, one for each layer: from {least:.2f} to {most:.2f} bits for a weight."
    return Chart("Bits per weight, layer by layer", text, _draw(spec, values))


def latency_charts(evaluation: Evaluation) -> list[Chart]:
    """Draw how long one text takes, at each length, as box plots of all rounds."""
    models = (evaluation.original, *evaluation.results)
    names = ["original", *(result.name for result in evaluation.results)]
    charts = []
    for index, timing in enumerate(evaluation.original.timings):
        if timing.batch_size > 1:
            continue
        values = [
            {"model": name, "ms": round(1e3 * seconds, 4)}
            for name, model in zip(names, models, strict=True)
            for each in model.timings[index : index + 1]
            for seconds in each.seconds
        ]
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
                "y": {"field": "model", "type": "nominal", "sort": None, "title": None},
                "x": {
                    "field": "ms",
                    "type": "quantitative",
                    "title": "milliseconds",
                    "scale": {"zero": False},
                },
                "color": _colour("model", names) | {"legend": None},
            },
        }
        charts.append(
            Chart(
                f"Time for one text of {timing.tokens} tokens",
                f"Box plots of {len(timing.seconds)} rounds: shortest, middle half, median, longest.",
                _draw(spec, values),
            )
        )
    return charts


def reliability_chart(result: Model) -> Chart | None:
    """Draw how often answers are right, by how sure the models are of them."""
    quality = result.quality
    if quality is None or not quality.reliability:
        return None
    bins = {"original": quality.reliability_original, result.name: quality.reliability}
    values: Values = [
        {"model": name, "confidence": each.confidence, "right": each.right, "answers": each.count}
        for name, own in bins.items()
        for each in own
    ]
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
    values: Values = []
    for point in points:
        if point.drop is not None:
            values.append(
                {
                    "kind": point.kind,
                    "name": point.name,
                    "megabytes": point.nbytes / 1e6,
                    "drop": 100 * point.drop,
                    "low": 100 * (point.interval or (point.drop, point.drop))[0],
                    "high": 100 * (point.interval or (point.drop, point.drop))[1],
                }
            )
    if not values:
        return None
    kinds = [kind for kind in get_args(Kind) if any(value["kind"] == kind for value in values)]
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


def _draw(spec: Mapping[str, Any], values: Values) -> str:
    import vl_convert

    data = {"data": {"values": values}} if values else {}
    svg: str = vl_convert.vegalite_to_svg(
        {"width": _WIDTH, "config": _CONFIG, **data, **spec}, vl_version=_VERSION
    )
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)  # what holds it says what it shows


def _colour(field: str, domain: Sequence[str], first: int = 0) -> dict[str, Any]:
    colours = [f"var(--series-{1 + (first + index) % 8})" for index in range(len(domain))]
    return {"field": field, "type": "nominal", "scale": {"domain": list(domain), "range": colours}}


def _by_kind(model: str, tensors: Sequence[TensorReport], nbytes: int, column: str) -> Values:
    kinds: dict[str, int] = defaultdict(int)
    for tensor in tensors:
        kinds[tensor.role] += getattr(tensor, column)
    kinds["headers"] = max(0, nbytes - sum(kinds.values()))
    return [{"model": model, "kind": kind, "megabytes": size / 1e6} for kind, size in kinds.items() if size]


def _totals(values: Values) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for value in values:
        totals[value["model"]] += value["megabytes"]
    return totals


def _layers(tensors: Sequence[TensorReport]) -> dict[str, list[TensorReport]]:
    """Group tensors by layer, ``encoder.layer.3``, in the order of their numbers; the rest by kind, first."""
    groups: dict[tuple[str, int], list[TensorReport]] = defaultdict(list)
    for tensor in tensors:
        found = _LAYER.match(tensor.name)
        if found:
            path = ".".join((found["path"] or "").split(".")[-2:])
            groups[path, int(found["number"])].append(tensor)
        else:
            groups[f" {tensor.role}", -1].append(tensor)
    return {
        path.strip() if number < 0 else f"{path}.{number}".lstrip("."): groups[path, number]
        for path, number in sorted(groups)
    }
