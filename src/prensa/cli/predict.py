"""``prensa predict``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import (
    AsJson,
    Encoding,
    Model,
    NewHead,
    On,
    RemoteCode,
    TextColumn,
    WorkerCpus,
    Workers,
)
from prensa.errors import PrensaError

if TYPE_CHECKING:
    from prensa.predicting.run import Predicted


def predict(  # noqa: PLR0913  one parameter for each option
    model: Model,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="File to write, .parquet, .csv, .tsv or .jsonl; a directory for several."
        ),
    ],
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Texts: a file, a directory, a pattern such as 'part-*.parquet', a saved data set."
        ),
    ],
    text_column: TextColumn = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set in --data.")] = None,
    encoding: Encoding = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns to keep: A,B,… '' keeps none. [default: all]")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Stands before the names of the answers' columns.")] = "",
    all_scores: Annotated[
        bool, typer.Option("--all-scores", help="Also write the probability of each label.")
    ] = False,
    runtime: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(help="int8, bf16 or fp32; an export has its own. [default: the fastest without int8]"),
    ] = None,
    max_batch_tokens: Annotated[int, typer.Option(help="Tokens of a batch, padding included.")] = 4096,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first row without an answer, and name it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    on: On = None,
    workers: Workers = None,
    worker_cpus: WorkerCpus = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Answer all texts of files of any length, and write the answers beside their columns.

    A run that was stopped goes on where it was when the same command is given again. A row that cannot be
    answered has a reason in the column "problem".
    """
    from prensa.cli.progress import texts_bar
    from prensa.jobs.permissions import Permissions
    from prensa.jobs.prediction import Prediction
    from prensa.texts.source import Source

    job = Prediction(
        model,
        output,
        Source(data, text_column=text_column, split=split, encoding=encoding),
        columns=columns,
        prefix=prefix,
        all_scores=all_scores,
        runtime=runtime,
        precision=precision,
        max_batch_tokens=max_batch_tokens,
        strict=strict,
        force=force,
        on=on,
        workers=workers,
        worker_cpus=worker_cpus,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    with texts_bar() as progress:
        plan = job.plan(progress)
        print_notes(*plan.notes)
        try:
            predicted = plan.run(progress)
        except KeyboardInterrupt as error:
            if not plan.journal.rows:
                raise
            raise PrensaError(
                f"interrupted; {plan.journal.rows:,} rows are answered and kept in {plan.journal.place}: run "
                "the same command again to go on"
            ) from error
    if as_json:
        content = dataclasses.asdict(predicted) | {"output": str(predicted.output)}
        typer.echo(json.dumps(content | {"texts_a_second": predicted.texts_a_second}, indent=1))
    else:
        typer.echo(_summary(predicted))


def _summary(predicted: Predicted) -> str:
    """Say in one line what came of it."""
    line = f"{predicted.output}: {predicted.texts:,} texts"
    if predicted.answered_before:
        line += f" ({predicted.answered_before:,} of them before)"
    line += f", {predicted.texts_a_second:,.1f} texts/s"
    count = sum(predicted.problems.values())
    if not count:
        return f"{line}; all were answered"
    reasons = [f"{own:,} {reason}" for reason, own in predicted.problems.items()]
    return f"{line}; {count:,} not answered: {', '.join(reasons)}"
