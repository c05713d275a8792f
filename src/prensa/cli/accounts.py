"""The line that every run prints on stderr about the texts it read."""

from __future__ import annotations

import typer

from prensa.wording import printable


def print_accounts(*accounts: str) -> None:
    """Print what was read, each line once; built-in texts have nothing to say."""
    for account in dict.fromkeys(filter(None, accounts)):
        typer.echo(printable(account), err=True)
