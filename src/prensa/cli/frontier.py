"""``prensa frontier``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from prensa.cli.options import Encoding, Labels
from prensa.cli.permissions import NewHead, RemoteCode, allow
from prensa.errors import PrensaError


def frontier(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model directory, or a name on the Hugging Face hub.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory for frontier.json and .html.")],
    *,
    data: Annotated[str, typer.Option(help="Texts to judge by, with labels if there are any.")],
    texts: Annotated[
        str | None, typer.Option(help="Texts to calibrate on. [default: those of --data]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the right answers.")] = None,
    labels: Labels = None,
    encoding: Encoding = None,
    split: Annotated[str | None, typer.Option(help="Part of a data set.")] = None,
    limit: Annotated[int, typer.Option(help="Judge by this many texts, at random.")] = 2000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … [default: cuda if there is one]")] = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what each size costs in quality, before one is chosen.

    Presses the model at several noises, and with the presets and bitsandbytes beside them, and judges each.
    """
    from prensa.extras import require

    require("evaluate", "a frontier")
    from rich.console import Console
    from transformers.utils import logging

    from prensa.atomic import at_home
    from prensa.calibrate import TextChoice, plan_for
    from prensa.checkpoint.locate import locate
    from prensa.cli.comparison import print_table
    from prensa.cli.notes import print_notes
    from prensa.cli.progress import stages
    from prensa.evaluation.evaluate import plan as plan_evaluation
    from prensa.evaluation.results import Settings
    from prensa.pressing import pipeline
    from prensa.pressing.recipe import load_preset
    from prensa.report.frontier import check_frontier_place, table, write_frontier
    from prensa.search.frontier import measure_frontier
    from prensa.search.referee import Referee
    from prensa.texts.names import as_mapping

    logging.disable_progress_bar()
    check_frontier_place(output)
    choice = TextChoice(texts if texts is not None else data, text_column, split, encoding=encoding)
    asked = (data, text_column, label_column, split, limit)
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    allow(context, remote_code=trust_remote_code, new_head=allow_new_head)
    with stages(console) as progress:
        plan = pipeline.plan(locate(model), load_preset("small"), at_home(output) / "pressed")
        print_notes(*plan.checkpoint.notes)
        calibration = plan_for(plan, choice, device=device, progress=progress)
        assert calibration is not None  # noqa: S101  the preset asks for one
        settings = Settings(model, (), *asked, device=device, encoding=encoding, labels=as_mapping(labels))
        judged = plan_evaluation(settings, progress)
        print_notes(calibration.account, judged.texts.account)
        referee = Referee(judged, {"check": list(range(len(judged.texts)))})
        found = measure_frontier(
            plan,
            calibration,
            referee,
            tell=lambda point: console.print(f"{point.name}: {point.nbytes / 1e6:.2f} MB"),
            progress=progress,
        )
    if found.points:
        typer.echo(f"Page: {write_frontier(found, output)}", err=True)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=1))
    else:
        print_table(table(found))
    if found.interrupted:
        raise PrensaError(f"interrupted; {', '.join(found.missing)} missing, the rest was kept")
