"""``prensa inspect``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.permissions import NewHead, RemoteCode, allow


def inspect(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A pressed model, or any other.")],
    *,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what is stored, tensor by tensor: shape, codec, bits, bytes, zeros, error.

    Of an export: its runtime, its precision, and how near its answers are.
    """
    from prensa.api import inspect as inspect_model
    from prensa.checkpoint.locate import locate
    from prensa.cli import tables
    from prensa.cli.export import print_record
    from prensa.serving.exported import is_export, read_record

    directory = locate(model)
    if is_export(directory):
        print_record(read_record(directory), directory, as_json=as_json)
        return
    allow(context, remote_code=trust_remote_code, new_head=allow_new_head)
    manifest = inspect_model(model)
    print_notes(*manifest.notes)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(manifest), indent=1))
    else:
        tables.print_tensors(manifest)
