"""Tables with a separator between cells: which separator, and how quotes are written.

Both are read off the file where all rows agree on it. Where they do not, the file is refused: a wrong guess
would lose rows or letters without any error.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prensa.errors import DataError
from prensa.texts.header import doubt, how_to_settle, numbered
from prensa.texts.table import DataTable

_CELL = 1 << 30  # characters; csv's own limit is 131,072
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_FIRST = 200  # rows by which the separator is chosen
_MOST = 0.5  # of these have as many cells as the first line
_OF_EXCEL = re.compile(r"sep=(.)[ ,;\t]*(?=[\r\n])", re.IGNORECASE)

_Row = tuple[int, list[str]]  # the line that it ends on, and its cells

_PLAIN: Mapping[str, Any] = {}
_ESCAPED: Mapping[str, Any] = {"escapechar": "\\"}
_UNQUOTED: Mapping[str, Any] = {"quoting": csv.QUOTE_NONE}


def read_delimited(path: Path, text: str, usual: str, asked: Sequence[str] = ()) -> DataTable:
    """Read a table whose first line names the columns. ``usual`` is the separator that the file's name says.

    ``asked`` are the options that name columns: they settle whether the first line is a header where it could
    be a row. Raises :class:`DataError`, naming the line, for rows that do not fit and for a doubtful header.
    """
    limit = csv.field_size_limit(_CELL)
    try:
        separator, text = _separator(text, usual)
        rows, note = _rows(path, text, separator, asked)
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise DataError(f"{path}: empty, expected a line of column names and at least one text")
    notes = [note] if note else []
    if separator != usual:
        notes.insert(0, f"separator {_SEPARATORS.get(separator, repr(separator))}")
    cells = [row for _, row in rows]
    if numbered(cells[0], asked):
        names = [str(number) for number in range(1, len(cells[0]) + 1)]
        notes.append("no line of column names")
    else:
        names, cells = _names(path, cells[0], cells[1:]), cells[1:]
    columns = {name: [row[i] or None for row in cells] for i, name in enumerate(names)}
    return DataTable(path.name, columns, notes=tuple(notes))


def guess_separator(text: str, usual: str) -> str:
    """Return what separates the cells of the first rows: ``usual`` unless those say something else."""
    shares: dict[str, float] = {}
    for separator in (usual, *_SEPARATORS):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            rows = list(itertools.islice(filter(None, reader), _FIRST))
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1:
            shares[separator] = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    best = max(shares, key=lambda separator: shares[separator], default=usual)  # usual is first of equals
    return best if shares.get(best, 0) > _MOST else usual


def _separator(text: str, usual: str) -> tuple[str, str]:
    """Return the separator, and the text without the line by which Excel names it."""
    if named := _OF_EXCEL.match(text):
        return named[1], text[named.end() :]
    return guess_separator(text, usual), text


def _rows(path: Path, text: str, separator: str, asked: Sequence[str]) -> tuple[list[_Row], str]:
    """Parse strictly, in the first of the ways to write quotes in which all rows have as many cells."""
    ways = [("", _PLAIN)]
    if '\\"' in text or f"\\{separator}" in text:
        ways.append(("escaped by backslashes", _ESCAPED))
    if '"' in text:
        ways.append(("quotes read as letters", _UNQUOTED))
    problems: list[DataError] = []
    for note, way in ways:
        try:
            rows = _parsed(path, text, separator, way)
            _refuse_ragged(path, rows, asked)
        except DataError as error:
            problems.append(error)
            continue
        if way is _UNQUOTED and _has_quoted_cells(rows):
            break
        if way is _PLAIN and separator == "\t" and (lines := _lines(path, text)):
            rows, note = lines, ways[-1][0]  # noqa: PLW2901
        _refuse_doubtful_header(path, rows, asked)
        return rows, note
    raise problems[0]


def _parsed(path: Path, text: str, separator: str, way: Mapping[str, Any]) -> list[_Row]:
    if way is _ESCAPED:  # a backslash before anything else is itself: "C:\new" is not "C:new"
        special = re.escape(f'"\\{separator}')
        text = re.sub(rf"\\(?![{special}])|(\\[{special}])", lambda found: found[1] or r"\\", text)
    spaced = re.match(rf'.*\n?.*{re.escape(separator)} +"', text) is not None  # a, "b"
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=spaced, **way
    )
    rows: list[_Row] = []
    try:
        rows.extend((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        line = rows[-1][0] + 1 if rows else 1
        raise DataError(
            f"{path}: line {line} is not valid CSV ({error}); a quote in a quoted cell must be doubled"
        ) from error
    return rows


def _lines(path: Path, text: str) -> list[_Row]:
    """Return the rows of a file in which quotes are letters, although they would also join some lines.

    That is so where every line has as many cells: then a quote is the first letter of a text here and there.
    """
    quoted = _parsed(path, text, "\t", _PLAIN) if '"' in text else []
    if not quoted or len(quoted[0][1]) == 1:
        return []
    lines = _parsed(path, text, "\t", _UNQUOTED)
    is_regular = len({len(row) for _, row in lines}) == 1
    return lines if len(lines) > len(quoted) and is_regular and not _has_quoted_cells(lines) else []


def _has_quoted_cells(rows: Sequence[_Row]) -> bool:
    """Whether quotes mostly stand around whole cells, so that reading them as letters would add them."""
    cells = [cell for _, row in rows for cell in row if cell.startswith('"')]
    return sum(len(cell) > 1 and cell.endswith('"') for cell in cells) > len(cells) / 2


def _refuse_doubtful_header(path: Path, rows: Sequence[_Row], asked: Sequence[str]) -> None:
    if rows:
        cells = [row for _, row in rows]
        reason = doubt(cells[0], cells[1:], asked)
        if reason:
            raise DataError(
                f"{path}: the first line may be a row, not a header: {reason}; {how_to_settle(cells)}"
            )


def _refuse_ragged(path: Path, rows: Sequence[_Row], asked: Sequence[str]) -> None:
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            _refuse_doubtful_header(path, rows, asked)  # says more
            raise DataError(
                f"{path}: line {line} has {len(row)} cells, the first line names {len(rows[0][1])} columns "
                f"({', '.join(rows[0][1])})"
            )


def _names(path: Path, first: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Name the columns; those without a name by their number, and none at the end that hold nothing."""
    names = [name.strip("\ufeff \t\r\n") or f"column {at}" for at, name in enumerate(first, 1)]
    while names and not first[len(names) - 1].strip() and not any(row[len(names) - 1] for row in rows):
        names.pop()
    if len(set(names)) < len(names):
        raise DataError(f"{path}: the first line names a column twice ({', '.join(names)})")
    return names
