"""A table of words, as the terminal, the page and the model card show it."""

from __future__ import annotations

from dataclasses import dataclass

NONE = "–"
"""What stands where there is no number."""


@dataclass(frozen=True)
class Table:
    """Rows of words under column names; the first column says what the row is. ``note`` explains."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
