"""``prensa inspect``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A pressed model, or any other.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what is stored, tensor by tensor: shape, codec, bits, bytes, zeros, error."""
    from prensa.api import inspect as inspect_model
    from prensa.cli import tables

    manifest = inspect_model(model)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(manifest), indent=1))
    else:
        tables.print_tensors(manifest)
