"""Parquet files and data sets on disk, read window by window with the types that they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import DataError, SettingError, first_line
from prensa.extras import require
from prensa.predicting.windows import CHARACTERS, ROWS, Columns, Window
from prensa.texts.arrow_cells import cells_of
from prensa.texts.delimited_rows import FIRST
from prensa.texts.source import Source
from prensa.texts.table import Cell, DataTable

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from pyarrow import parquet

# Bytes of a column that are read from disk at a time, in place of the whole column of a group of rows.
_BUFFER = 1 << 20
# What other libraries note about the columns that there were, and which would be wrong of the new ones.
_OF_COLUMNS = (b"huggingface", b"pandas", b"ARROW:schema")


@dataclass(frozen=True)
class Table:
    """Columns of Arrow, kept with their types."""

    content: pa.Table
    source: str

    def rows(self) -> Iterable[Mapping[str, Cell]]:
        """Return each row's cells by name."""
        names = self.content.column_names
        if not names:
            return [{}] * self.content.num_rows
        columns = [cells_of(self.content, name, self.source) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return the columns of the schema, which are these."""
        return self.content.select(schema.names).replace_schema_metadata(None)


@dataclass(frozen=True)
class OfParquet:
    """A file of Parquet."""

    path: Path
    count: int
    first: DataTable
    types: pa.Schema
    rows_at_once: int

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.types.names)

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Return the types that the columns have."""
        return _chosen(self.types, names)

    def windows(self, columns: Columns, done: int) -> Iterator[Window]:
        """Yield the rows behind the first ``done``."""
        import pyarrow as pa

        try:
            with _opened(self.path) as file:
                batches = file.iter_batches(batch_size=self.rows_at_once, columns=columns.all)
                yield from _windows(batches, columns, done, str(self.path))
        except (OSError, pa.ArrowException) as error:
            raise DataError(_damaged(self.path, error)) from error


@dataclass(frozen=True)
class OfDataset:
    """A data set that ``save_to_disk`` wrote."""

    part: Dataset
    first: DataTable

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.part.column_names)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.part)

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Return the types that the columns have."""
        return _chosen(self.part.features.arrow_schema, names)

    def windows(self, columns: Columns, done: int) -> Iterator[Window]:
        """Yield the rows behind the first ``done``."""
        import pyarrow as pa

        batches = self.part.select_columns(columns.all).with_format("arrow").iter(_rows_at_once(self.first))
        try:
            yield from _windows(batches, columns, done, self.first.name)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.first.name}: cannot be read ({first_line(error)})") from error


def open_parquet(path: Path) -> OfParquet:
    """Read what a file of Parquet says at its end, and a few rows. Raises :class:`DataError`."""
    require("data", f"{path}: a Parquet file")
    import pyarrow as pa

    try:
        with _opened(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            nbytes = sum(group.total_byte_size for group in groups)
            count = file.metadata.num_rows
            # A window of very long rows has fewer of them.
            most = max(1, min(ROWS, CHARACTERS * count // max(1, nbytes)))
            types = file.schema_arrow
            head = next(file.iter_batches(batch_size=min(FIRST, most)), None)
    except (OSError, pa.ArrowException) as error:
        raise DataError(_damaged(path, error)) from error
    if len(set(types.names)) < len(types.names):
        raise DataError(f"{path}: has a column twice ({', '.join(types.names)})")
    cells: dict[str, list[Cell]] = {name: [] for name in types.names}
    if head is not None:
        cells = _head(head)
    return OfParquet(path, count, DataTable(path.name, cells), types, most)


def open_dataset(path: Path, source: Source) -> OfDataset:
    """Open a data set on disk; ``source.split`` chooses among its parts.

    Raises :class:`SettingError` where that is missing or there is no such part, and :class:`DataError`.
    """
    require("data", f"{path}: a data set")
    import datasets

    if source.encoding is not None:
        raise SettingError(f"{path}: `encoding` {source.encoding} is for files; a data set has none")
    try:
        content = datasets.load_from_disk(str(path))
    except Exception as error:
        # Whatever a disk or a parser can raise.
        raise DataError(f"{path}: not readable as a data set ({first_line(error)})") from error
    name = str(path)
    if isinstance(content, dict):
        split = source.split
        if split is None and len(content) == 1:
            (split,) = content
        if split not in content:
            raise SettingError(f"{path}: `split`: expected one of {', '.join(content)}, found {split}")
        name = f"{path} (split {split})"
        content = content[split]
    elif source.split is not None:
        raise SettingError(f"{path}: `split` {source.split}, but the data set has no splits")
    return OfDataset(content, DataTable(name, _head(content.with_format("arrow")[:FIRST])))


def _opened(path: Path) -> parquet.ParquetFile:
    from pyarrow import parquet

    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _windows(
    batches: Iterable[pa.RecordBatch | pa.Table], columns: Columns, done: int, source: str
) -> Iterator[Window]:
    import pyarrow as pa

    end = 0
    for batch in batches:
        start = end
        end += batch.num_rows
        if end <= done:
            continue
        # Windows are the same each time, and a window is done or not; should it be otherwise, no row is lost.
        table = batch.slice(max(0, done - start))
        if not isinstance(table, pa.Table):
            table = pa.Table.from_batches([table])
        texts = tuple(cells_of(table, name, source) for name in columns.texts)
        yield Window(end - table.num_rows + 1, texts, Table(table.select(columns.kept), source))


def _head(rows: pa.RecordBatch | pa.Table) -> dict[str, list[Cell]]:
    """Return the first cells of all columns; those of one that cannot be read are nothing, as far as it goes.

    It may be a column that nobody reads, or that is kept as it is.
    """
    cells: dict[str, list[Cell]] = {}
    for name in rows.schema.names:
        try:
            cells[name] = cells_of(rows, name, "")
        except DataError:
            cells[name] = [None] * rows.num_rows
    return cells


def _rows_at_once(first: DataTable) -> int:
    """Return how many rows a window has, by the lengths of a few."""
    characters = 0
    for cells in first.columns.values():
        characters += sum(len(cell) for cell in cells if isinstance(cell, str))
    return max(1, min(ROWS, CHARACTERS * len(first) // max(1, characters)))


def _chosen(types: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    metadata = {}
    for key, value in (types.metadata or {}).items():
        if key not in _OF_COLUMNS:
            metadata[key] = value
    return pa.schema([types.field(name) for name in names], metadata)


def _damaged(path: Path, error: Exception) -> str:
    return f"{path}: not readable as Parquet, perhaps cut short ({first_line(error)})"
