"""What is in a file of texts, read window by window: cells with separators, or objects on lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prensa.errors import DataError, SettingError, first_line
from prensa.predicting.windows import ROWS, Columns, Window, encodable, windows_of
from prensa.texts.blocks import first_bytes
from prensa.texts.delimited_rows import DelimitedRows, find_rows
from prensa.texts.readers import kind_of, not_a_kind, refuse_no_text
from prensa.texts.record_rows import RecordRows, find_records
from prensa.texts.source import Source
from prensa.texts.table import Cell, DataTable

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = ".parquet"
SEPARATED = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
"""The usual separator by the file's ending."""

LINES = (".jsonl", ".ndjson")
KINDS = (*SEPARATED, *LINES, PARQUET)
"""Endings of files that can be read row by row, and written."""


class Content(Protocol):
    """A file that was looked through: its columns, how many rows it has, and a few of them as a table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""

    @property
    def count(self) -> int:
        """How many rows there are."""

    @property
    def first(self) -> DataTable:
        """A few rows."""

    def windows(self, columns: Columns, done: int) -> Iterator[Window]:
        """Yield the rows behind the first ``done``. Raises :class:`DataError` for what cannot be read."""

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Return the types of columns in Arrow. Raises :class:`DataError` for values of no one type."""


def content_of(path: Path, source: Source) -> Content:
    """Look a file through, or a data set's directory.

    Raises :class:`DataError` for what cannot be read row by row, and whatever reading a file raises.
    """
    if path.is_dir():
        from prensa.predicting.arrow import open_dataset

        return open_dataset(path, source)
    if source.split is not None:
        raise SettingError(f"{path}: `split` {source.split} is for data sets; a file has no splits")
    kind = kind_of(path)
    if kind not in KINDS:
        if kind == ".json":
            raise DataError(
                f"{path}: JSON is not read row by row; save it with an object on each line (.jsonl)"
            )
        raise DataError(not_a_kind(path, kind, KINDS))
    if kind == PARQUET:
        from prensa.predicting.arrow import open_parquet

        if source.encoding is not None:
            raise SettingError(
                f"{path}: `encoding` {source.encoding} is for files of text; Parquet has its own"
            )
        return open_parquet(path)
    refuse_no_text(path, kind, first_bytes(path))
    rows: DelimitedRows | RecordRows
    if kind in LINES:
        rows = find_records(path, source.encoding)
    else:
        rows = find_rows(path, SEPARATED[kind], source.encoding, source.asked)
    return OfRows(rows)


@dataclass(frozen=True)
class OfRows:
    """A file of text."""

    content: DelimitedRows | RecordRows

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return self.content.names

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.content.count

    @property
    def first(self) -> DataTable:
        """A few rows."""
        columns: dict[str, list[Cell]] = {}
        for name in self.names:
            columns[name] = [row.get(name) for row in self.content.first]
        return DataTable(self.content.path.name, columns, notes=self.content.notes)

    def windows(self, columns: Columns, done: int) -> Iterator[Window]:
        """Yield the rows behind the first ``done``."""
        return windows_of(self.content.rows(), columns, done)

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Return texts for all cells of a table with separators; records are read once more for theirs."""
        import pyarrow as pa

        if isinstance(self.content, DelimitedRows):
            return pa.schema([(name, pa.string()) for name in names])
        schema = pa.schema([(name, pa.null()) for name in names])
        was_widened = False
        for rows in self._some():
            wider = self._widened(schema, rows)
            was_widened = was_widened or wider != schema
            schema = wider
        if was_widened:
            # Numbers with fractions do not hold all large whole numbers that came before them.
            for rows in self._some():
                self._check_holds(schema, rows)
        return schema

    def _some(self) -> Iterator[Sequence[Mapping[str, Cell]]]:
        """Yield all rows, some at a time."""
        rows: Iterator[Mapping[str, Cell]] = iter(self.content.rows())
        while some := list(islice(rows, ROWS)):
            yield some

    def _widened(self, schema: pa.Schema, rows: Sequence[Mapping[str, Cell]]) -> pa.Schema:
        """Return types that hold these rows, too: numbers with fractions where some have one."""
        import pyarrow as pa

        fields = []
        for field in schema:
            cells = [encodable(row.get(field.name)) for row in rows]
            with self._naming(field.name):
                own = pa.field(field.name, pa.array(cells).type)
                parts = [pa.schema([field]), pa.schema([own])]
                fields.append(pa.unify_schemas(parts, promote_options="permissive").field(0))
        return pa.schema(fields)

    def _check_holds(self, schema: pa.Schema, rows: Sequence[Mapping[str, Cell]]) -> None:
        import pyarrow as pa

        for field in schema:
            cells = [encodable(row.get(field.name)) for row in rows]
            with self._naming(field.name):
                pa.array(cells, field.type)

    @contextmanager
    def _naming(self, column: str) -> Iterator[None]:
        """Raise :class:`DataError`, naming a column, for values that have no one type in Arrow."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise DataError(
                f"{self.content.path}: column {column!r} holds values of several types or too large ones, "
                f"which Parquet cannot ({first_line(error)}); write .jsonl, or leave it out of `columns`"
            ) from error
