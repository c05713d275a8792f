"""The options that allow what is refused otherwise, alike in every command that opens a model."""

from __future__ import annotations

from typing import Annotated

import typer

from prensa.checkpoint.allowed import allowing

NewHead = Annotated[
    bool, typer.Option("--allow-new-head", help="Take a model whose head has no weights yet.")
]
RemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the model's own Python code. Only if you trust it.")
]


def allow(context: typer.Context, *, remote_code: bool, new_head: bool, unchecked: bool = False) -> None:
    """Allow it until the command ends."""
    context.with_resource(allowing(remote_code=remote_code, new_head=new_head, unchecked=unchecked))
