"""``prensa compress``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PRESET = "int8"


def compress(  # noqa: PLR0913  one parameter for each option
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model directory, or a name on the Hugging Face hub.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")],
    *,
    preset: Annotated[
        str | None, typer.Option(help=f"classic, half or int8. [default: {DEFAULT_PRESET}]")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file (TOML) instead of a preset.")] = None,
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="packed, bitsandbytes or plain. [default: the recipe's]")
    ] = None,
    prune: Annotated[
        float | None, typer.Option(help="Share of each linear layer to set to zero, 0 to 0.9.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Set weights of smaller magnitude to zero.")] = None,
    bits: Annotated[int | None, typer.Option(help="8: quantize to 8 bits; 16: do not.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the model in the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Press a model: choose new values, store them small, keep it loadable."""
    from prensa import pipeline
    from prensa.checkpoint.locate import locate
    from prensa.cli import tables
    from prensa.cli.progress import progress_bar
    from prensa.recipe import adjusted, chosen_recipe

    resolved = adjusted(
        chosen_recipe(preset, recipe, default=DEFAULT_PRESET),
        format=format,
        prune=prune,
        threshold=threshold,
        bits=bits,
    )
    plan = pipeline.plan(locate(model), resolved, output, force=force)
    if dry_run:
        typer.echo(json.dumps(tables.plan_summary(plan), indent=1)) if as_json else tables.print_plan(plan)
        return
    with progress_bar("pressing") as progress:
        manifest = pipeline.run(plan, progress)
    if as_json:
        typer.echo(json.dumps({"output": str(output), **dataclasses.asdict(manifest)}, indent=1))
    else:
        tables.print_result(manifest, output)
