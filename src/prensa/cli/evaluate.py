"""``prensa evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import (
    NOT_HELD,
    AsJson,
    Device,
    Encoding,
    LabelColumn,
    Labels,
    LabelThreshold,
    Limit,
    MaxDrop,
    Metric,
    MinRecall,
    NewHead,
    RemoteCode,
    TextColumn,
)
from prensa.errors import PrensaError

if TYPE_CHECKING:
    from prensa.evaluation.results import Evaluation


def evaluate(  # noqa: PLR0913  one parameter for each option
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="The model to compare with.")],
    results: Annotated[list[str], typer.Argument(metavar="RESULT...", help="One compressed model or more.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="CSV, TSV, JSON, Parquet or text file, or a data set. [default: built-in texts]"),
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    labels: Labels = None,
    encoding: Encoding = None,
    split: Annotated[
        str | None, typer.Option(help="Part of a data set. [default: test or validation]")
    ] = None,
    limit: Limit = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Texts at a time. [default: 32; language models 8]")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Truncate texts to this many tokens.")] = None,
    device: Device = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="auto, float32, float16 or bfloat16. [default: float32 on a processor, else auto]"),
    ] = None,
    max_drop: MaxDrop = None,
    metric: Metric = None,
    min_recall: MinRecall = None,
    label_threshold: LabelThreshold = None,
    cascade: Annotated[
        str | None,
        typer.Option(help="Also put each result before the original, for this share of same answers: 99%."),
    ] = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    report: Annotated[Path | None, typer.Option(help="Write this page, and results.json beside it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare results with their original: size, speed, memory, quality.

    The exit code is 1 if a result is worse than --max-drop or --min-recall allow, or if too few texts
    decide.
    """
    from prensa.cli.progress import stages
    from prensa.extras import require
    from prensa.jobs.comparison import Comparison
    from prensa.jobs.permissions import Permissions
    from prensa.texts.names import as_mapping
    from prensa.texts.source import Source

    require("evaluate", "evaluating")
    from prensa.report.html import check_report_place

    if report is not None:
        check_report_place(report)
    job = Comparison(
        original,
        tuple(results),
        data=Source(data, text_column, label_column, split, limit, encoding, as_mapping(labels)),
        batch_size=batch_size,
        max_length=max_length,
        device=device,
        dtype=dtype,
        max_drop=max_drop,
        cascade=cascade,
        metric=metric,
        min_recall=min_recall,
        label_threshold=label_threshold,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    with stages() as progress:
        plan = job.plan(progress)
        print_notes(*plan.notes)
        evaluation = plan.run(progress)
    _print(evaluation, report, as_json=as_json)
    if evaluation.missing:
        raise PrensaError(f"interrupted; {', '.join(evaluation.missing)} missing, the rest was kept")
    if not evaluation.within_budget:
        raise typer.Exit(NOT_HELD)


def _print(evaluation: Evaluation, report: Path | None, *, as_json: bool) -> None:
    """Write the page and the model cards, and print the numbers whatever becomes of those."""
    from prensa.cli.comparison import print_evaluation
    from prensa.report.card import write_cards
    from prensa.report.html import write_report

    try:
        if report is not None:
            write_report(evaluation, report)
            typer.echo(f"Report: {report}", err=True)
        for problem in write_cards(evaluation):
            typer.echo(f"prensa: the model card was left as it is: {problem}", err=True)
    finally:
        # A full disk does not cost the numbers.
        if as_json:
            typer.echo(evaluation.to_json(), nl=False)
        else:
            print_evaluation(evaluation)
