"""Cells of Arrow's columns as Python has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prensa.errors import DataError, first_line
from prensa.texts.table import Cell

if TYPE_CHECKING:
    import pyarrow as pa


def cells_of(table: pa.Table | pa.RecordBatch, name: str, source: str) -> list[Cell]:
    """Return the cells of the column ``name`` of a table that was read from ``source``.

    Raises :class:`DataError` for what Python cannot hold: bytes in a column of text that are none in UTF-8,
    which no writer of Parquet is stopped from, and dates behind the year 9999.
    """
    try:
        cells: list[Cell] = table.column(name).to_pylist()
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{source}: the column {name!r} holds a value that cannot be read ({first_line(error)}); mend "
            "it, or leave that column out"
        ) from error
    return cells
