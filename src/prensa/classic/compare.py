"""The classic comparison: size on disk, inference time, precision of predictions.

The numbers are those of :func:`prensa.evaluate`; only the way they are printed is the classic script's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from prensa.classic.arguments import Parser
from prensa.cli.guard import fail, guarded
from prensa.evaluation.figures import Metric, Quality
from prensa.evaluation.results import Evaluation, Timing
from prensa.evaluation.speed import percentile, ratio
from prensa.report.tables import figure_in_words, remarks
from prensa.wording import megabytes, milliseconds, percent, score, signed

_SCRIPT = "test_quantized_model.py"


def compare_models(
    original_path: str | Path, optimized_path: str | Path, data: str | Path | None = None
) -> Evaluation:
    """Compare an optimized model with its original, on the texts in ``data`` or on the built-in ones.

    Raises what :func:`prensa.evaluate` raises.
    """
    from prensa.api import evaluate
    from prensa.cli.progress import stages

    with stages() as progress:
        return evaluate(original_path, optimized_path, data=data, progress=progress)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the classic command line."""
    options = _parser().parse_args(arguments)

    def compare() -> None:
        evaluation = compare_models(**vars(options))
        sys.stdout.write("\n".join(lines(evaluation)) + "\n")
        if evaluation.missing:
            fail(_SCRIPT, f"interrupted; {', '.join(evaluation.missing)} missing")

    guarded(_SCRIPT, compare)


def lines(evaluation: Evaluation) -> Iterator[str]:
    """Make the lines that are printed."""
    original = evaluation.original
    (optimized,) = evaluation.results
    before = original.total_bytes
    after = optimized.total_bytes
    yield "Size on disk"
    yield f"  original   {megabytes(before)}"
    yield f"  optimized  {megabytes(after)} ({percent(before - after, before)} smaller)"
    for of_original, of_optimized in zip(original.timings, optimized.timings, strict=True):
        yield from _time(of_original, of_optimized)
    if optimized.quality is not None:
        yield f"Precision of predictions, {evaluation.data.measured:,} texts"
        yield from _precision(optimized.quality)
    yield from remarks(evaluation)
    if evaluation.data.account:
        yield evaluation.data.account


def _time(before: Timing, after: Timing) -> Iterator[str]:
    texts = "1 text"
    if before.batch_size > 1:
        texts = f"{before.batch_size} texts"
    yield f"Inference time, {texts} of {before.tokens} tokens"
    yield f"  original   {milliseconds(percentile(before, 50))}"
    faster = ratio(before, after).median
    yield f"  optimized  {milliseconds(percentile(after, 50))} ({faster:.2f} times as fast)"


def _precision(quality: Quality) -> Iterator[str]:
    if quality.broken:
        yield f"  the optimized model gives no number (NaN or infinity) on {quality.broken:,} texts"
    for figure in quality.figures:
        yield f"  {figure.name}: {figure_in_words(figure)}"
    for metric in quality.metrics:
        yield f"  {metric.name}: {_metric(metric)}"


def _metric(metric: Metric) -> str:
    """Put a metric of both models into words, or the reason why it has no number."""
    if metric.original is None or metric.result is None or metric.difference is None:
        return metric.note
    before = score(metric.original, is_share=metric.is_share)
    after = score(metric.result, is_share=metric.is_share)
    change = signed(metric.difference, is_share=metric.is_share)
    if metric.is_share:
        change += " points"
    return f"{before} before, {after} after ({change})"


def _parser() -> Parser:
    parser = Parser(prog=_SCRIPT, description="Compare an optimized model with its original.")
    parser.add_argument("--original_path", required=True, help="model directory or hub name")
    parser.add_argument("--optimized_path", required=True, help="what quantization_code.py wrote")
    parser.add_argument("--data", help="CSV, TSV, JSON lines, Parquet or text file (default: built-in texts)")
    return parser
