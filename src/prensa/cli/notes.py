"""What a run says on stderr about what it read: the texts, and the names in the checkpoint."""

from __future__ import annotations

import typer

from prensa.wording import printable


def print_notes(*notes: str) -> None:
    """Print each note on a line, once; what is empty has nothing to say (built-in texts)."""
    for note in dict.fromkeys(filter(None, notes)):
        typer.echo(printable(note), err=True)
