"""What the commands print of results: tables made from manifests, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from prensa.checkpoint.card import library_class
from prensa.checkpoint.healed import healed_in_words
from prensa.checkpoint.manifest import Calibration, Manifest, ShrinkReport, TensorReport, VocabularyReport
from prensa.checkpoint.shrunk import KINDS, account, kinds_in, layer_widths
from prensa.formats import FORMATS
from prensa.ops.spec import ROLES
from prensa.texts.columns import BUILT_IN
from prensa.wording import megabytes, percent, printable

# Columns where stdout is not a terminal.
_PIPED_WIDTH = 160
_LEFT = {"kind", "shape", "codec", "passes", "label"}
_WRAPPED = {"passes", "comment"}
# A model was not in float32 to begin with if its bytes differ by more than this share.
_OTHER_DTYPE = 0.05
_NONE = "–"


def print_result(manifest: Manifest, output: Path) -> None:
    """Print before and after by kind of tensor, remarks, and how to load the result."""
    out = console()
    out.print(_sizes(manifest))
    before = manifest.nbytes_before
    after = manifest.nbytes
    if abs(manifest.nbytes_float32 / before - 1) > _OTHER_DTYPE:
        out.print(f"Against float32: {percent(after, manifest.nbytes_float32)}.")
    if manifest.shrink is not None:
        _print_structure(out, manifest.shrink)
    if manifest.vocabulary is not None:
        out.print(printable(vocabulary_in_words(manifest.vocabulary)), soft_wrap=True)
    if manifest.calibration is not None:
        out.print(printable(_calibrated_on(manifest.calibration)), soft_wrap=True)
    _print_healing(out, manifest)
    for report in manifest.tensors:
        if any(step.note for step in report.passes):
            out.print(printable(f"{report.name}: {report.note}"))
    # Nothing stands behind the path: it is there to be copied.
    out.print(f"Written to {output}", soft_wrap=True)
    out.print(_how_to_load(manifest, output), soft_wrap=True)


def _sizes(manifest: Manifest) -> Table:
    table = new_table("kind", "tensors", "before", "after", "share", "bits/weight", "zeros", "error")
    stored = 0
    original = 0
    for role in ROLES:
        reports = [report for report in manifest.tensors if report.role == role]
        if reports:
            table.add_row(role, *_row(reports))
        for report in reports:
            stored += report.nbytes
            original += report.nbytes_before
    headers_before = megabytes(manifest.nbytes_before - original)
    if manifest.shrink is not None:
        # Tensors are those of the smaller model: what is missing of the original's bytes went with its parts.
        table.add_row("taken away", "", headers_before, megabytes(0))
        headers_before = ""
    headers_after = megabytes(manifest.nbytes - stored)
    table.add_row("headers", "", headers_before, headers_after)
    table.add_section()
    table.add_row(
        "weight files",
        "",
        megabytes(manifest.nbytes_before),
        megabytes(manifest.nbytes),
        percent(manifest.nbytes, manifest.nbytes_before),
    )
    return table


def _print_structure(out: Console, report: ShrinkReport) -> None:
    """Print the width of each layer before and after, and what was measured of the whole."""
    kinds = kinds_in(report)
    # Where only layers went, the sentences below name them.
    if kinds:
        table = new_table("layer", *[KINDS[kind] for kind in kinds])
        for layer in layer_widths(report):
            table.add_row(str(layer.number), *[layer.width(kind) for kind in kinds])
        out.print()
        out.print(table)
    for line in account(report):
        out.print(printable(line), soft_wrap=True)


def _calibrated_on(calibration: Calibration) -> str:
    text = f"Calibrated on {calibration.count:,} texts of {calibration.texts} ({calibration.tokens:,} tokens)"
    if calibration.texts == BUILT_IN:
        text += ", which are general: give --texts with some of your own for a better result"
    if calibration.unreached:
        text += f". No text reached {', '.join(calibration.unreached)}: rounded to 8 bits"
    return f"{text}."


def vocabulary_in_words(report: VocabularyReport) -> str:
    """Say how many tokens stay, and what that means for the texts they were chosen by."""
    text = f"Vocabulary: {len(report.kept):,} of {report.before:,} tokens stay"
    if report.covered is None or report.unchanged is None:
        return f"{text}."
    return (
        f"{text}, {100 * report.covered:.2f} % of those in {report.counted:,} texts of {report.texts}; "
        f"{100 * report.unchanged:.2f} % of the texts are tokenized as before."
    )


def print_tensors(manifest: Manifest) -> None:
    """Print every tensor, the total, and the structure of a model that was shrunk."""
    table = new_table("tensor", "kind", "shape", "codec", "bits/weight", "bytes", "zeros", "error")
    nbytes = 0
    for report in manifest.tensors:
        nbytes += report.nbytes
        zeros = _NONE
        if report.zeros is not None:
            zeros = percent(report.zeros, report.numel)
        table.add_row(
            printable(report.name),
            report.role,
            "×".join(map(str, report.shape)) or "scalar",
            printable(report.codec),
            f"{report.bits_per_weight:.2f}",
            f"{report.nbytes:,}",
            zeros,
            _error(report.relative_squared_error),
        )
    bits, zeros, error = _row(manifest.tensors)[-3:]
    table.add_section()
    table.add_row("all tensors", "", "", "", bits, f"{nbytes:,}", zeros, error)
    out = console()
    out.print(table)
    out.print(
        f"Format {manifest.format}: weight files {megabytes(manifest.nbytes)}, "
        f"{percent(manifest.nbytes, manifest.nbytes_before)} of the original's, "
        f"{percent(manifest.nbytes, manifest.nbytes_float32)} of float32.",
        soft_wrap=True,
    )
    if manifest.shrink is not None:
        _print_structure(out, manifest.shrink)
    _print_healing(out, manifest)


def _print_healing(out: Console, manifest: Manifest) -> None:
    """Print what was learnt after rounding, if anything was."""
    if manifest.heal is not None:
        out.print(printable(healed_in_words(manifest.heal, manifest.nbytes)), soft_wrap=True)


def _row(reports: Sequence[TensorReport]) -> list[str]:
    """Add up some tensors: how many, bytes before and after, bits a weight, zeros, and the largest error."""
    before = 0
    after = 0
    weights = 0
    zeros: int | None = None
    largest_error: float | None = None
    for report in reports:
        before += report.nbytes_before
        after += report.nbytes
        # The values of a tied tensor are another tensor's, and are counted there.
        if report.codec != "tied":
            weights += report.numel
        if report.zeros is not None:
            zeros = (zeros or 0) + report.zeros
        error = report.relative_squared_error
        if error is not None and (largest_error is None or error > largest_error):
            largest_error = error
    bits = _NONE
    if weights:
        bits = f"{8 * after / weights:.2f}"
    share_of_zeros = _NONE
    if zeros is not None:
        share_of_zeros = percent(zeros, weights)
    return [
        str(len(reports)),
        megabytes(before),
        megabytes(after),
        percent(after, before),
        bits,
        share_of_zeros,
        _error(largest_error),
    ]


def _error(error: float | None) -> str:
    if error is None:
        return _NONE
    if error == 0:
        return "0"
    return f"{error:.1e}"


def _how_to_load(manifest: Manifest, output: Path) -> str:
    before = FORMATS[manifest.format].before_loading
    loader = library_class(output, {}) or "AutoModel….from_pretrained"
    return f"To load it: {before}{loader}({str(output)!r})."


def new_table(*columns: str, left: Collection[str] = _LEFT, wrapped: bool = False) -> Table:
    """Make an empty table whose first column, and those named in ``left``, hold words.

    ``wrapped`` lets every cell take several lines where the terminal is narrow.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right"
        if index == 0 or column in left:
            justify = "left"
        table.add_column(column, justify=justify, no_wrap=not wrapped and column not in _WRAPPED)
    return table


def console() -> Console:
    """Return where results go: as wide as the terminal, and names are data, not markup."""
    width = _PIPED_WIDTH
    if Console().is_terminal:
        return Console(markup=False, highlight=False, emoji=False)
    return Console(width=width, markup=False, highlight=False, emoji=False)
