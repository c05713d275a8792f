"""Rows in their order, some thousand at a time: what is in memory of a file, however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from prensa.texts.table import Cell

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 2048
"""Rows of a window at most: enough for batches of like length, and few enough to answer once more."""

CHARACTERS = 1 << 23
"""Characters of a window, from which on it ends: tokens take some ten times as much memory."""


@dataclass(frozen=True)
class Columns:
    """The one or two columns that hold texts, and those that go into the output."""

    texts: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """All that are read, each once."""
        return list(dict.fromkeys((*self.kept, *self.texts)))


class Kept(Protocol):
    """Columns of a window that go into the output as they are."""

    def rows(self) -> Iterable[Mapping[str, Cell]]:
        """Return each row's cells by name; a name that a record did not have may be missing."""

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return the same as a table of Arrow."""


@dataclass(frozen=True)
class Window:
    """Some rows, the first of which is the ``first``-th of its file, counted from 1.

    ``texts`` are the cells of each column of texts.
    """

    first: int
    texts: tuple[Sequence[Cell], ...]
    kept: Kept

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.texts[0])


@dataclass(frozen=True)
class Records:
    """Columns that were read row by row."""

    records: Sequence[Mapping[str, Cell]]

    def rows(self) -> Iterable[Mapping[str, Cell]]:
        """Return the rows."""
        return self.records

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return them in columns; what a record does not have is null."""
        import pyarrow as pa

        arrays = []
        for field in schema:
            cells = [encodable(record.get(field.name)) for record in self.records]
            arrays.append(pa.array(cells, field.type))
        return pa.table(arrays, schema=schema)


def windows_of(rows: Iterable[Mapping[str, Cell]], columns: Columns, done: int) -> Iterator[Window]:
    """Put rows into windows, without the first ``done``.

    Where a window ends depends on the rows before it alone, so that whoever goes on behind one gets the same.
    """
    some: list[Mapping[str, Cell]] = []
    characters = 0
    number = 0
    for number, row in enumerate(rows, 1):
        if number <= done:
            continue
        # What is not asked for, as a page beside its title, is not held.
        own = {name: row[name] for name in columns.all if name in row}
        some.append(own)
        for cell in own.values():
            if isinstance(cell, str):
                characters += len(cell)
        if len(some) == ROWS or characters >= CHARACTERS:
            yield _window(some, columns, number - len(some) + 1)
            some = []
            characters = 0
    if some:
        yield _window(some, columns, number - len(some) + 1)


def _window(rows: Sequence[Mapping[str, Cell]], columns: Columns, first: int) -> Window:
    texts = []
    for name in columns.texts:
        texts.append([row.get(name) for row in rows])
    kept = []
    for row in rows:
        kept.append({name: row[name] for name in columns.kept if name in row})
    return Window(first, tuple(texts), Records(kept))


def encodable(cell: Cell) -> Cell:
    """Return a cell without halves of characters, which JSON can write and Parquet cannot."""
    if isinstance(cell, str) and not cell.isprintable():
        return cell.encode("utf-8", "backslashreplace").decode()
    return cell
