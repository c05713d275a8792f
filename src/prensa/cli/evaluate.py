"""``prensa evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prensa.cli.options import NOT_HELD, Encoding, Labels, share
from prensa.cli.permissions import NewHead, RemoteCode, allow
from prensa.errors import PrensaError


def evaluate(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="The model to compare with.")],
    results: Annotated[list[str], typer.Argument(metavar="RESULT...", help="One pressed model or more.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="CSV, TSV, JSON, Parquet or text file, or a data set. [default: built-in texts]"),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts; A,B for pairs.")] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column of the right answers; A,B,… for one for each label; '' takes none."),
    ] = None,
    labels: Labels = None,
    encoding: Encoding = None,
    split: Annotated[
        str | None, typer.Option(help="Part of a data set. [default: test or validation]")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take this many texts, at random.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Texts at a time. [default: 32; language models 8]")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Cut texts to this many tokens.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … [default: cuda if there is one]")] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="auto, float32, float16 or bfloat16. [default: float32 on a processor, else auto]"),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(parser=share, help="Largest drop allowed: 0.01 or 1% is one point.")
    ] = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    report: Annotated[Path | None, typer.Option(help="Write this page, and results.json beside it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare pressed models with their original: size, speed, memory, quality.

    Exits with 1 where a result is worse than --max-drop allows, or where too few texts decide.
    """
    from prensa.extras import require

    require("evaluate", "evaluating")
    from transformers.utils import logging

    from prensa.cli.comparison import print_evaluation
    from prensa.cli.notes import print_notes
    from prensa.cli.progress import stages
    from prensa.evaluation.evaluate import plan, run
    from prensa.evaluation.results import Settings
    from prensa.report.card import write_cards
    from prensa.report.html import check_place, write_report
    from prensa.texts.names import as_mapping

    logging.disable_progress_bar()
    if report is not None:
        check_place(report)
    asked = (data, text_column, label_column, split, limit, batch_size, max_length, device, dtype, max_drop)
    settings = Settings(original, tuple(results), *asked, encoding=encoding, labels=as_mapping(labels))
    allow(context, remote_code=trust_remote_code, new_head=allow_new_head)
    with stages() as progress:
        planned = plan(settings, progress)
        print_notes(planned.texts.account)
        evaluation = run(planned, progress)
    try:
        if report is not None:
            write_report(evaluation, report)
            typer.echo(f"Report: {report}", err=True)
        for problem in write_cards(evaluation):
            typer.echo(f"prensa: the model card was left as it is: {problem}", err=True)
    finally:  # a full disk does not cost the numbers
        typer.echo(evaluation.to_json(), nl=False) if as_json else print_evaluation(evaluation)
    if evaluation.missing:
        raise PrensaError(f"interrupted; {', '.join(evaluation.missing)} missing, the rest was kept")
    if not evaluation.within_budget:
        raise typer.Exit(NOT_HELD)
