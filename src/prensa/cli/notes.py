"""What a run reports on stderr about what it read: the texts, and the names in the checkpoint."""

from __future__ import annotations

import typer

from prensa.cli.options import with_options
from prensa.wording import printable


def print_notes(*notes: str) -> None:
    """Print each note on a line, once; an empty one has nothing to say (built-in texts)."""
    for note in dict.fromkeys(notes):
        if note:
            typer.echo(printable(with_options(note)), err=True)
