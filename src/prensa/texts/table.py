"""A table of texts as it was read, before anyone knows which columns count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Cell = object
"""What a cell holds: text, a number, a truth value, a list of these, or None."""


@dataclass(frozen=True)
class DataTable:
    """Columns of equal length. ``classes`` gives the names behind the integers of a column that has them.

    ``notes`` say what is unusual about how the file is written: its separator, its encoding. ``by_word`` says
    that the file had a word and its tag on each line.
    """

    name: str
    columns: Mapping[str, Sequence[Cell]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    by_word: bool = False

    def __len__(self) -> int:
        """Count the rows."""
        return max(map(len, self.columns.values()), default=0)

    @property
    def found(self) -> str:
        """Name the columns, for messages, with what is unusual about the file."""
        names = ", ".join(self.columns)
        if not self.notes:
            return f"there are {names}"
        return f"there are {names} ({', '.join(self.notes)})"


def is_nothing(cell: Cell) -> bool:
    """Whether a cell holds nothing at all. An empty text is something: models answer it."""
    if isinstance(cell, float):
        # What pandas and Parquet make of an empty cell.
        return math.isnan(cell)
    return cell is None
