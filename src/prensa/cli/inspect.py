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
    """Show what is stored, tensor by tensor: shape, codec, bits, bytes, zeros, error.

    Of an export: its runtime, its precision, and how near its answers are.
    """
    from prensa.api import inspect as inspect_model
    from prensa.checkpoint.locate import locate
    from prensa.cli import tables
    from prensa.cli.export import print_record
    from prensa.runtime.exported import is_export, read_record

    directory = locate(model)
    if is_export(directory):
        print_record(read_record(directory), directory, as_json=as_json)
        return
    manifest = inspect_model(model)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(manifest), indent=1))
    else:
        tables.print_tensors(manifest)
