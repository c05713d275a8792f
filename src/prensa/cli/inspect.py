"""``prensa inspect``."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import AsJson, NewHead, RemoteCode


def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A compressed model, or any other.")],
    *,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what is stored, tensor by tensor: shape, codec, bits, bytes, zeros, error.

    For an export: its runtime, its precision, and its output error.
    """
    from prensa.checkpoint.locate import locate
    from prensa.cli import tables
    from prensa.cli.export import print_record
    from prensa.jobs import inspection
    from prensa.serving.exported import is_export, read_record

    directory = locate(model, to_read=True)
    if is_export(directory):
        print_record(read_record(directory), directory, as_json=as_json)
        return
    manifest = inspection.inspect(model, allow_new_head=allow_new_head, trust_remote_code=trust_remote_code)
    print_notes(*manifest.notes)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(manifest), indent=1))
        return
    tables.print_tensors(manifest)
