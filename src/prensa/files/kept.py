"""What a stopped process leaves for the next one to go on from, hidden beside the output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prensa.errors import FormatError


def hidden_place(output: Path, name: str) -> Path:
    """Return where a step of this ``name`` leaves it."""
    return output.parent / f".{output.name}.prensa-{name}"


@contextmanager
def kept_if_stopped(place: Path) -> Iterator[Path]:
    """Yield a directory, with what a stopped process left in it.

    It stays only if this process is stopped, too, or if what is in it is damaged or of another run, which
    may go on: with what ended, well or not, nobody goes on.
    """
    try:
        yield place
    except FormatError:
        raise
    except Exception:
        # Perhaps because the disk is full.
        shutil.rmtree(place, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)
