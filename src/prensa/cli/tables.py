"""What the commands print: tables made from plans and manifests, and nothing else."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.card import library_class
from prensa.checkpoint.manifest import Calibration, Manifest, TensorReport, VocabularyReport
from prensa.example.demo import DemoResult
from prensa.pressing.pipeline import Plan
from prensa.spec import ROLES
from prensa.texts.columns import BUILT_IN
from prensa.wording import megabytes, percent

_PIPED_WIDTH = 160  # columns where stdout is not a terminal
_LEFT = {"kind", "shape", "codec", "passes", "label"}
_WRAPPED = {"passes", "comment"}


def print_result(manifest: Manifest, output: Path) -> None:
    """Print before and after by kind of tensor, remarks, and how to load the result."""
    out = console()
    table = new_table("kind", "tensors", "before", "after", "share", "bits/weight", "zeros", "error")
    for role, reports in _by_role(manifest.tensors):
        table.add_row(role, *_row(reports))
    stored = sum(report.nbytes for report in manifest.tensors)
    original = sum(report.nbytes_before for report in manifest.tensors)
    table.add_row(
        "headers",
        "",
        megabytes(manifest.nbytes_before - original),
        megabytes(manifest.nbytes - stored),
    )
    table.add_section()
    before, after = manifest.nbytes_before, manifest.nbytes
    table.add_row("weight files", "", megabytes(before), megabytes(after), percent(after, before))
    out.print(table)
    if abs(manifest.nbytes_float32 / before - 1) > 0.05:  # noqa: PLR2004  not float32 to begin with
        out.print(f"Against float32: {percent(after, manifest.nbytes_float32)}.")
    if manifest.vocabulary is not None:
        out.print(vocabulary_in_words(manifest.vocabulary), soft_wrap=True)
    if manifest.calibration is not None:
        out.print(_calibrated_on(manifest.calibration), soft_wrap=True)
    for report in manifest.tensors:
        if any(step.note for step in report.passes):
            out.print(f"{report.name}: {report.note}")
    out.print(f"Written to {output}", soft_wrap=True)  # nothing behind it: a path is there to be copied
    out.print(_how_to_load(manifest, output), soft_wrap=True)


def _calibrated_on(calibration: Calibration) -> str:
    text = f"Calibrated on {calibration.count:,} texts of {calibration.texts} ({calibration.tokens:,} pieces)"
    if calibration.texts == BUILT_IN:
        text += ", which are general: give --texts with some of your own for a better result"
    if calibration.unreached:
        text += f". No text reached {', '.join(calibration.unreached)}: rounded to 8 bits"
    return f"{text}."


def vocabulary_in_words(report: VocabularyReport) -> str:
    """Say how many pieces stay, and what that means for the texts they were chosen by."""
    text = f"Vocabulary: {len(report.kept):,} of {report.before:,} pieces stay"
    if report.covered is None or report.unchanged is None:
        return f"{text}."
    return (
        f"{text}, {100 * report.covered:.2f} % of those in {report.counted:,} texts of {report.texts}; "
        f"{100 * report.unchanged:.2f} % of the texts are cut as before."
    )


def print_plan(plan: Plan, calibration: CalibrationPlan | None) -> None:
    """Print what a run would do, with upper bounds in place of results."""
    out = console()
    table = new_table("kind", "tensors", "before", "after, at most", "passes")
    for row in plan_summary(plan, calibration)["kinds"]:
        table.add_row(
            row["kind"],
            str(row["tensors"]),
            megabytes(row["nbytes_before"]),
            megabytes(row["nbytes_at_most"]),
            ", ".join(row["passes"]) or "–",
        )
    out.print(table)
    for tensor in plan.tensors:
        if tensor.note and tensor.spec.is_float:
            out.print(f"{tensor.spec.name}: {tensor.note}")
    if plan.vocabulary is not None:
        out.print(vocabulary_in_words(plan.vocabulary.report), soft_wrap=True)
    if calibration is not None:
        where = f"{calibration.device}, block by block" if calibration.by_blocks else calibration.device
        out.print(
            f"Calibration: {len(calibration.encoded.rows):,} texts of {calibration.source} on "
            f"{where}, with pieces counted in {calibration.counted:,}; "
            f"{megabytes(calibration.memory)} of memory and what one batch takes.",
            soft_wrap=True,
        )
    out.print(
        f"Format {plan.recipe.format}; at most {megabytes(plan.nbytes)} of weights, and "
        f"{megabytes(plan.memory)} of memory for tensors. Nothing was written to {plan.output}.",
        soft_wrap=True,
    )


def plan_summary(plan: Plan, calibration: CalibrationPlan | None) -> dict[str, Any]:
    """Return the plan as plain data, for JSON."""
    kinds = []
    for role in ROLES:
        tensors = [tensor for tensor in plan.tensors if tensor.spec.role == role]
        if tensors:
            kinds.append(
                {
                    "kind": role,
                    "tensors": len(tensors),
                    "nbytes_before": sum(tensor.spec.nbytes_before for tensor in tensors),
                    "nbytes_at_most": sum(tensor.extent.nbytes for tensor in tensors),
                    "passes": list(dict.fromkeys(step.name for t in tensors for step in t.passes)),
                }
            )
    return {
        "output": str(plan.output),
        "format": plan.recipe.format,
        "nbytes_at_most": plan.nbytes,
        "memory_at_most": plan.memory,
        "calibration": None if calibration is None else _calibration(calibration),
        "vocabulary": None if plan.vocabulary is None else _vocabulary(plan.vocabulary.report),
        "kinds": kinds,
    }


def _vocabulary(report: VocabularyReport) -> dict[str, Any]:
    content = dataclasses.asdict(report)
    return {**content, "kept": len(report.kept)}


def _calibration(plan: CalibrationPlan) -> dict[str, Any]:
    return {
        "texts": plan.source,
        "count": len(plan.encoded.rows),
        "counted": plan.counted,
        "device": plan.device,
        "memory": plan.memory,
    }


def print_tensors(manifest: Manifest) -> None:
    """Print every tensor, and the total."""
    table = new_table("tensor", "kind", "shape", "codec", "bits/weight", "bytes", "zeros", "error")
    for report in manifest.tensors:
        table.add_row(
            report.name,
            report.role,
            "×".join(map(str, report.shape)) or "scalar",
            report.codec,
            f"{report.bits_per_weight:.2f}",
            f"{report.nbytes:,}",
            "–" if report.zeros is None else percent(report.zeros, report.numel),
            _error(report.relative_squared_error),
        )
    reports = manifest.tensors
    bits, zeros, error = _row(reports)[-3:]
    table.add_section()
    table.add_row("all tensors", "", "", "", bits, f"{sum(r.nbytes for r in reports):,}", zeros, error)
    out = console()
    out.print(table)
    out.print(
        f"Format {manifest.format}: weight files {megabytes(manifest.nbytes)}, "
        f"{percent(manifest.nbytes, manifest.nbytes_before)} of the original's, "
        f"{percent(manifest.nbytes, manifest.nbytes_float32)} of float32.",
        soft_wrap=True,
    )


def _row(reports: Sequence[TensorReport]) -> list[str]:
    before, after = sum(r.nbytes_before for r in reports), sum(r.nbytes for r in reports)
    weights = sum(r.numel for r in reports if r.codec != "tied")
    known = [r for r in reports if r.zeros is not None]
    errors = [r.relative_squared_error for r in reports if r.relative_squared_error is not None]
    return [
        str(len(reports)),
        megabytes(before),
        megabytes(after),
        percent(after, before),
        f"{8 * after / weights:.2f}" if weights else "–",
        percent(sum(r.zeros or 0 for r in known), weights) if known else "–",
        _error(max(errors) if errors else None),
    ]


def _by_role(reports: Iterable[TensorReport]) -> list[tuple[str, list[TensorReport]]]:
    groups: dict[str, list[TensorReport]] = defaultdict(list)
    for report in reports:
        groups[report.role].append(report)
    return [(role, groups[role]) for role in ROLES if role in groups]


def _error(error: float | None) -> str:
    return "–" if error is None else "0" if error == 0 else f"{error:.1e}"


def _how_to_load(manifest: Manifest, output: Path) -> str:
    needs = {"packed": "import prensa, then ", "bitsandbytes": "with bitsandbytes installed, "}
    loader = library_class(output, {}) or "AutoModel….from_pretrained"
    return f"To load it: {needs.get(manifest.format, '')}{loader}({str(output)!r})."


def new_table(*columns: str, left: Collection[str] = _LEFT, wrapped: bool = False) -> Table:
    """Make an empty table whose first column, and those named in ``left``, hold words.

    ``wrapped`` lets every cell take several lines where the terminal is narrow.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index == 0 or column in left else "right"
        table.add_column(column, justify=justify, no_wrap=not wrapped and column not in _WRAPPED)
    return table


def console() -> Console:
    """Return where results go: as wide as the terminal, and names are data, not markup."""
    width = None if Console().is_terminal else _PIPED_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_demo(result: DemoResult, output: Path) -> None:
    """Print the sizes of each preset, then every comment's probability of its second label."""
    out = console()
    out.print("A DeBERTa that flags toxic comments, kept in float16 and restored to float32 first.\n")
    sizes = new_table("preset", "weights", "share", "right answers", "same answer", "largest shift")
    first = next(iter(result.manifests.values()))
    count = len(result.comments)
    accuracy = f"{result.accuracy(result.original):.1%}"
    sizes.add_row("(original)", megabytes(first.nbytes_before), "100.0 %", accuracy, "", "")
    for preset, manifest in result.manifests.items():
        pressed = result.pressed[preset]
        same = int((pressed.argmax(dim=1) == result.original.argmax(dim=1)).sum())
        sizes.add_row(
            preset,
            megabytes(manifest.nbytes),
            percent(manifest.nbytes, manifest.nbytes_before),
            f"{result.accuracy(pressed):.1%}",
            f"{same} of {count}",
            f"{float((pressed - result.original).abs().max()):.4f}",
        )
    out.print(sizes)
    out.print(f"\nProbability of “{result.labels[1]}”:")
    predictions = new_table("comment", "label", "original", *result.pressed)
    for index, comment in enumerate(result.comments):
        columns = [result.original, *result.pressed.values()]
        predictions.add_row(
            comment.text, comment.label, *(f"{float(column[index, 1]):.4f}" for column in columns)
        )
    out.print(predictions)
    out.print(
        f"\n{count} comments show that the results work; they are too few to measure accuracy with.\n"
        f"Everything is in {output}. Look closer: prensa inspect {output / 'classic'}\n"
        f"Compare on your own texts: prensa evaluate {output / 'original'} {output / 'int8'} --data FILE",
        soft_wrap=True,
    )
