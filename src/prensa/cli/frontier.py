"""``prensa frontier``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import (
    AsJson,
    CalibrationSlices,
    DataColumn,
    DataSplit,
    Device,
    Encoding,
    LabelColumn,
    Labels,
    LabelThreshold,
    Limit,
    Metric,
    Model,
    NewHead,
    On,
    RemoteCode,
    Split,
    TextColumn,
    Texts,
    WorkerCpus,
    Workers,
)
from prensa.errors import PrensaError


def frontier(  # noqa: PLR0913  one parameter for each option
    model: Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory for frontier.json and .html.")],
    *,
    data: Annotated[str, typer.Option(help="Texts to judge by, with labels if there are any.")],
    data_column: DataColumn = None,
    label_column: LabelColumn = None,
    data_split: DataSplit = None,
    labels: Labels = None,
    limit: Limit = None,
    texts: Texts = None,
    text_column: TextColumn = None,
    split: Split = None,
    encoding: Encoding = None,
    metric: Metric = None,
    label_threshold: LabelThreshold = None,
    device: Device = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    on: On = None,
    workers: Workers = None,
    worker_cpus: WorkerCpus = None,
    calibration_slices: CalibrationSlices = None,
    as_json: AsJson = False,
) -> None:
    """Show what each size costs in quality, before you choose one.

    Compresses the model at several noises, with the presets, and with bitsandbytes, and judges each on 2,000
    texts (--limit).
    """
    from rich.console import Console

    from prensa.cli.comparison import print_table
    from prensa.cli.progress import stages
    from prensa.cli.sources import judged_source, texts_source
    from prensa.extras import require
    from prensa.jobs.permissions import Permissions
    from prensa.jobs.scale import Scale

    require("evaluate", "a frontier")
    from prensa.evaluation.frontier import Point
    from prensa.jobs.exploration import Exploration
    from prensa.report.frontier import FRONTIER_PAGE, table

    source = judged_source(data, data_column, label_column, data_split, labels, encoding, limit=limit)
    assert source is not None  # noqa: S101  --data is not optional here
    job = Exploration(
        model,
        output,
        source,
        texts=texts_source(texts, text_column, split, encoding, data=data),
        metric=metric,
        label_threshold=label_threshold,
        device=device,
        permissions=Permissions(allow_new_head, trust_remote_code),
        scale=Scale(on, workers, worker_cpus, calibration_slices=calibration_slices),
    )
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def show(point: Point) -> None:
        console.print(f"{point.name}: {point.nbytes / 1e6:.2f} MB")

    with stages(console) as progress:
        plan = job.plan(progress)
        print_notes(*plan.notes)
        measured = plan.run(progress, show)
    if measured.points:
        typer.echo(f"Page: {plan.output / FRONTIER_PAGE}", err=True)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(measured), indent=1))
    else:
        print_table(table(measured))
    if measured.interrupted:
        raise PrensaError(f"interrupted; {', '.join(measured.missing)} missing, the rest was kept")
