"""``prensa export``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import (
    AsJson,
    Data,
    DataColumn,
    DataSplit,
    Encoding,
    Force,
    LabelColumn,
    Labels,
    LabelThreshold,
    MaxDrop,
    Metric,
    MinRecall,
    Model,
    NewHead,
    Output,
    RemoteCode,
    Split,
    TextColumn,
)
from prensa.errors import SettingError

if TYPE_CHECKING:
    from prensa.serving.exported import Record


def export(  # noqa: PLR0913  one parameter for each option
    model: Model,
    output: Output,
    *,
    to: Annotated[str, typer.Option(help="openvino or onnx.")],
    precision: Annotated[
        str, typer.Option(help="int8, int4 or fp16 (onnx), bf16 (openvino) or fp32.")
    ] = "int8",
    layout: Annotated[
        str | None,
        typer.Option(help="Program to open it: transformers.js, sentence-transformers, tei or openvino."),
    ] = None,
    texts: Annotated[
        str | None,
        typer.Option(help="Texts to measure ranges and compare answers on. [default: built-in texts]"),
    ] = None,
    text_column: TextColumn = None,
    split: Split = None,
    data: Data = None,
    data_column: DataColumn = None,
    label_column: LabelColumn = None,
    data_split: DataSplit = None,
    labels: Labels = None,
    encoding: Encoding = None,
    max_drop: MaxDrop = None,
    metric: Metric = None,
    min_recall: MinRecall = None,
    label_threshold: LabelThreshold = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for another runtime, and compare its answers with PyTorch's.

    DeBERTa is folded first. Where 8 bits (or 4) change answers too much or break the budget, the layers that
    cost most go back to more bits, as few as needed. Nothing is written if that does not help.
    """
    from prensa.cli.progress import stages
    from prensa.cli.sources import judged_source, texts_source
    from prensa.evaluation.budget import Budget
    from prensa.jobs.conversion import Conversion
    from prensa.jobs.permissions import Permissions

    calibrated = None
    if texts is not None or data is None:
        calibrated = texts_source(texts, text_column, split, encoding)
    elif split is not None:
        raise SettingError("`split` describes `texts`, which are missing; for `data` give `data_split`")
    elif data_column is None:
        # Ranges are measured on built-in texts then, which have no columns.
        data_column = text_column
    job = Conversion(
        model,
        output,
        to,
        precision=precision,
        layout=layout,
        texts=calibrated,
        budget=Budget(
            max_drop,
            on=judged_source(data, data_column, label_column, data_split, labels, encoding, texts=texts),
            metric=metric,
            min_recall=min_recall,
            label_threshold=label_threshold,
        ),
        force=force,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    with stages() as progress:
        plan = job.plan(progress)
        print_notes(*plan.notes)
        record = plan.run(progress)
    if not as_json:
        typer.echo(f"Written to {plan.output}")
    print_record(record, plan.output, as_json=as_json)


def print_record(record: Record, output: Path, *, as_json: bool) -> None:
    """Print what an export is, and how near its answers are."""
    from prensa.wording import megabytes, number, printable

    nbytes = 0
    for path in output.rglob("*"):
        if path.is_file():
            nbytes += path.stat().st_size
    if as_json:
        content: dict[str, object] = {"output": str(output), "nbytes": nbytes, **dataclasses.asdict(record)}
        # The answers on record are for loading to check: rows of numbers that nobody reads.
        del content["rows"]
        del content["answers"]
        typer.echo(json.dumps(content, indent=1))
        return
    summary = (
        f"{record.precision} for {record.runtime}, {megabytes(nbytes)}. Output error on {record.texts}: "
        f"{number(100 * record.difference)} % of the spread between texts, compared with PyTorch.\n"
        f"{_went_back(record)}{_said(record)}"
        f"To load it: prensa.load('{output}', runtime='{record.runtime}')."
    )
    # Names of layers and of texts come from files.
    for line in summary.splitlines():
        typer.echo(printable(line))


def _said(record: Record) -> str:
    """Return a line for each thing that was found of a budget."""
    lines = []
    for said in record.said:
        lines.append(f"{said[0].upper()}{said[1:]}.\n")
    return "".join(lines)


def _went_back(record: Record) -> str:
    """Return a line on the layers that have more bits than the precision, nothing where there are none."""
    from prensa.serving.weights import FLOAT
    from prensa.wording import percent

    if not record.back:
        return ""
    layers = []
    for name, bits in record.back.items():
        kept_in = "float32" if bits == FLOAT else f"{bits} bits"
        layers.append(f"{name} ({kept_in})")
    share = ""
    if record.share is not None:
        share = f" {percent(record.share)} of the weights in products are multiplied in 8 bits."
    return f"Layers that {record.precision} costs too much: {', '.join(layers)}.{share}\n"
