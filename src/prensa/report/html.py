"""The report: one self-contained page, a pure function of an evaluation and the manifests of its results.

Nothing is loaded from anywhere, and a content security policy forbids it. The template escapes users' text.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from prensa.checkpoint.destination import check_space
from prensa.checkpoint.healed import healed_in_words
from prensa.checkpoint.hub_names import model_name
from prensa.checkpoint.manifest import Manifest, has_manifest, load_manifest
from prensa.errors import OutputError, PrensaError
from prensa.evaluation.results import Evaluation
from prensa.evaluation.results_file import RESULTS_FILE, check_results_place
from prensa.evaluation.verdict import verdict
from prensa.extras import require
from prensa.files.atomic import at_home, write_text
from prensa.report import charts
from prensa.report.structure import structures
from prensa.report.tables import computed_in, remarks, tables
from prensa.texts.names import join_names
from prensa.wording import megabytes, percent

REPORT_FILE = "report.html"

# What a page of Prensa's is known by, and in how many of its first bytes it stands.
_GENERATOR = b'name="generator" content="Prensa'
_HEAD = 2000
# Bytes: more than a report and its results take.
_ENOUGH = 8_000_000
# Options of the command that measures the same again, in the order that it shows them.
_OPTIONS = (
    "data",
    "text_column",
    "label_column",
    "split",
    "encoding",
    "limit",
    "batch_size",
    "max_length",
    "device",
    "dtype",
    "max_drop",
    "metric",
    "cascade",
)
# Those that give a number to labels, or have it chosen.
_OF_LABELS = ("min_recall", "label_threshold")


def render(evaluation: Evaluation, manifests: Mapping[str, Manifest]) -> str:
    """Make the page. ``manifests`` are looked up by the names of the results; any may be missing."""
    # The content security policy allows this one script, by its digest, and no other.
    script = _asset("report.js")
    digest = hashlib.sha256(script.encode()).digest()

    verdicts = []
    reliability_charts = []
    for result in evaluation.results:
        verdicts.append((result, verdict(evaluation, result), evaluation.budget(result)))
        chart = charts.reliability_chart(result)
        if chart is not None:
            reliability_charts.append(chart)
    # Both are None without a manifest.
    drawn = [charts.size_chart(evaluation, manifests), charts.bits_chart(evaluation, manifests)]
    size_charts = [chart for chart in drawn if chart is not None]
    content = {
        "evaluation": evaluation,
        "original": model_name(Path(evaluation.original.path)),
        "manifests": manifests,
        "verdicts": verdicts,
        "remarks": remarks(evaluation),
        "tables": {table.title: table for table in tables(evaluation)},
        "size_charts": size_charts,
        "structures": structures(evaluation, manifests),
        "healed": _healed(evaluation, manifests),
        "latency_charts": charts.latency_charts(evaluation),
        "reliability_charts": reliability_charts,
        "command": command(evaluation),
        "computed_in": computed_in(evaluation),
        "megabytes": megabytes,
        "percent": percent,
        "script": script,
        "script_hash": base64.b64encode(digest).decode(),
    }
    return page("report.html.jinja", content)


def _healed(evaluation: Evaluation, manifests: Mapping[str, Manifest]) -> list[tuple[str, str]]:
    """Return the name of each result that was healed, and what that did, in the order of the results."""
    found: list[tuple[str, str]] = []
    for result in evaluation.results:
        manifest = manifests.get(result.name)
        if manifest is None or manifest.heal is None:
            continue
        found.append((result.name, healed_in_words(manifest.heal, manifest.nbytes)))
    return found


def page(template: str, content: Mapping[str, object]) -> str:
    """Fill one of the package's templates, with the style that they share; what is filled in is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("prensa.report", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style = _asset("report.css")
    return environment.get_template(template).render({"style": style, **content})


def write_report(evaluation: Evaluation, path: str | Path) -> None:
    """Write the page to ``path`` and the evaluation to ``results.json`` beside it, each whole or not at all.

    Manifests are read from the results' directories. Raises :class:`OutputError` if the files cannot be
    written or would replace others, and :class:`~prensa.errors.MissingPackageError` without
    ``prensa[evaluate]``.
    """
    require("evaluate", "a report")
    page = at_home(path)
    check_page(page)
    check_results_place(page.parent / RESULTS_FILE)
    evaluation.save(page.parent / RESULTS_FILE)
    write_page(evaluation, page)


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Write the page alone, whole or not at all."""
    require("evaluate", "a report")
    write_text(at_home(path), render(evaluation, load_manifests(evaluation)))


def check_report_place(path: Path) -> None:
    """Raise :class:`OutputError` if no report could be written; called before anything is measured."""
    path = at_home(path)
    check_page(path)
    check_results_place(path.parent / RESULTS_FILE)
    check_space(path.resolve(), _ENOUGH)


def check_page(path: Path) -> None:
    """Raise :class:`OutputError` unless ``path`` is free for a page or holds an earlier one."""
    path = at_home(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; give the name of a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: no such directory as {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in {path.parent}; choose another place")
    if path.name == RESULTS_FILE:
        raise OutputError(f"{path}: is the name of the results themselves; give the page another one")
    if path.exists() and _GENERATOR not in path.read_bytes()[:_HEAD]:
        raise OutputError(f"{path}: would be replaced, and is no report of Prensa's; give another name")


def load_manifests(evaluation: Evaluation) -> dict[str, Manifest]:
    """Read the manifests of those results that have one, of the files that were evaluated."""
    manifests = {}
    for result in evaluation.results:
        directory = Path(result.path)
        if not has_manifest(directory):
            continue
        try:
            manifest = load_manifest(directory)
        except PrensaError:
            # The page shows that there is none.
            continue
        # A result that was compressed again since is another one.
        if manifest.nbytes == result.weight_bytes:
            manifests[result.name] = manifest
    return manifests


def command(evaluation: Evaluation) -> str:
    """Return the command that measures the same again."""
    settings = evaluation.settings
    words = ["prensa", "evaluate", settings.original, *settings.results]
    if settings.labels is not None:
        pairs = [f"{name}={label}" for name, label in settings.labels.items()]
        words += ["--labels", join_names(pairs) or ""]
    for option in _OF_LABELS:
        shares = getattr(settings, option)
        if shares is not None:
            pairs = [f"{name}={share}" for name, share in shares.items()]
            words += [f"--{option.replace('_', '-')}", join_names(pairs) or ""]
    for option in _OPTIONS:
        value = getattr(settings, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
