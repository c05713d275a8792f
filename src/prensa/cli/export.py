"""``prensa export``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.options import Encoding, Labels, share
from prensa.cli.permissions import NewHead, RemoteCode, allow

if TYPE_CHECKING:
    from prensa.serving.exported import Record


def export(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An original or pressed model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")],
    *,
    to: Annotated[str, typer.Option(help="openvino or onnx.")],
    precision: Annotated[str, typer.Option(help="int8, bf16 (openvino) or fp32.")] = "int8",
    texts: Annotated[
        str | None,
        typer.Option(help="Texts to measure ranges and compare answers on. [default: built-in texts]"),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of a data set.")] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(parser=share, help="Budget of a classifier: right answers it may lose, as 0.5%."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Texts to keep the budget by, with labels if there are any. [default: --texts]"),
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the right answers in --data.")] = None,
    labels: Labels = None,
    encoding: Encoding = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the model in the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a sentence.")] = False,
) -> None:
    """Write a model for another runtime, and compare its answers with PyTorch's.

    DeBERTa is folded before. Where the answers differ too much nothing is written. With a budget, layers that
    cost more than it allows stay out of 8 bits (OpenVINO).
    """
    from transformers.utils import logging

    from prensa.checkpoint.locate import locate
    from prensa.cli.notes import print_notes
    from prensa.cli.progress import stages
    from prensa.serving.export import plan_export, run_export
    from prensa.texts.source import Source

    logging.disable_progress_bar()
    allow(context, remote_code=trust_remote_code, new_head=allow_new_head)
    plan = plan_export(
        locate(model),
        output,
        to=to,
        precision=precision,
        texts=Source(texts, text_column=text_column, split=split, encoding=encoding),
        force=force,
    )
    print_notes(*plan.notes)
    print_notes(*plan.accounts)
    with stages() as progress:
        record = run_export(plan, progress)
    if not as_json:
        typer.echo(f"Written to {plan.output}")
    print_record(record, plan.output, as_json=as_json)


def print_record(record: Record, output: Path, *, as_json: bool) -> None:
    """Say what an export is, and how near its answers are."""
    from prensa.wording import megabytes, number

    nbytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    if as_json:
        content = {"output": str(output), "nbytes": nbytes, **dataclasses.asdict(record)}
        typer.echo(json.dumps({k: v for k, v in content.items() if k not in {"rows", "answers"}}, indent=1))
        return
    typer.echo(
        f"{record.precision} for {record.runtime}, {megabytes(nbytes)}. On {record.texts} its answers are "
        f"{number(100 * record.difference)} % of their spread away from PyTorch's.{_lost(record)}\n"
        f"To load it: prensa.load('{output}', runtime='{record.runtime}')."
    )


def _lost(record: Record) -> str:
    from prensa.wording import number

    return "" if record.drop is None else f" It loses {number(100 * record.drop)} points of right answers."
