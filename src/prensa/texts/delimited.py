"""Tables with a separator between cells: which separator, and how quotes are written.

Both are read off the file where all rows agree on it. Where they do not, the file is refused: a wrong guess
would lose rows or letters without any error.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from prensa.errors import DataError
from prensa.sharing import Shared
from prensa.texts.header import Cells, numbered, refuse_doubtful_header
from prensa.texts.table import DataTable

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""What may stand between cells, with its name."""

# Characters of a cell; csv's own limit is 131,072.
_CELL = 1 << 30
# Rows by which the separator is chosen, and the share of them that must have as many cells as the first.
_FIRST = 200
_MOST = 0.5
_OF_EXCEL = re.compile(r"sep=(.)[ ,;\t]*(?=[\r\n])", re.IGNORECASE)

Row = tuple[int, list[str]]
"""The line that a row ends on, and its cells."""


@dataclass(frozen=True)
class Quoting:
    """A way to write quotes in cells, as arguments of :func:`csv.reader`, and its note in the account."""

    note: str
    escape: str | None = None
    quoting: int = csv.QUOTE_MINIMAL


PLAIN = Quoting("")
ESCAPED = Quoting("escaped by backslashes", escape="\\")
UNQUOTED = Quoting("quotes read as letters", quoting=csv.QUOTE_NONE)
"""The ways, the more usual first."""


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let csv read long cells."""
    limit = csv.field_size_limit(_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


# The limit holds for the whole process. Set and taken back by each thread, it would end for all when the
# first of them is done, or stay as another one had set it.
LONG_CELLS = Shared(_long_cells)
"""For ``with``: csv reads long cells."""


def read_delimited(path: Path, text: str, usual: str, asked: Sequence[str] = ()) -> DataTable:
    """Read a table whose first line names the columns. ``usual`` is the separator that the file's name says.

    ``asked`` are the options that name columns: they settle whether the first line is a header where it could
    be a row. Raises :class:`DataError`, naming the line, for rows that do not fit and for a doubtful header.
    """
    with LONG_CELLS:
        separator, text = separator_of(text, usual)
        rows, note = _rows(path, text, separator, asked)
    if not rows:
        raise DataError(f"{path}: empty, expected a line of column names and at least one text")
    notes: list[str] = []
    if separator != usual:
        name = SEPARATORS.get(separator, repr(separator))
        notes.append(f"separator {name}")
    if note:
        notes.append(note)
    cells = _cells(rows)
    if numbered(cells[0], asked):
        width = len(cells[0])
        numbers = range(1, width + 1)
        names = list(map(str, numbers))
        notes.append("no line of column names")
    else:
        first = cells.pop(0)
        width = named_width(first)
        for row in cells:
            width = used_width(row, width)
        names = names_of(path, first, width)
    columns: dict[str, list[str | None]] = {}
    for index, name in enumerate(names):
        # An empty cell says nothing.
        columns[name] = [row[index] or None for row in cells]
    return DataTable(path.name, columns, notes=tuple(notes))


def guess_separator(text: str, usual: str) -> str:
    """Return what separates the cells of the first rows: ``usual`` unless those say something else."""
    best, best_share = usual, 0.0
    for separator in (usual, *SEPARATORS):
        share = _regular_share(text, separator)
        # Not "or equal": the usual one comes first, and stays where another one does as well.
        if share > best_share:
            best, best_share = separator, share
    if best_share > _MOST:
        return best
    return usual


def _regular_share(text: str, separator: str) -> float:
    """Return how many of the first rows have as many cells as the first, 0 if that has one cell."""
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, delimiter=separator)
    try:
        filled = filter(None, reader)
        rows = list(itertools.islice(filled, _FIRST))
    except csv.Error:
        # No table with this separator; the strict reading says what is wrong.
        return 0
    if not rows or len(rows[0]) == 1:
        return 0
    widths = list(map(len, rows))
    return widths.count(widths[0]) / len(rows)


def separator_of(text: str, usual: str) -> tuple[str, str]:
    """Return the separator of a table's first rows, and the text without the line by which Excel names it."""
    # A first line "sep=;" is Excel's own, and no row.
    named = _OF_EXCEL.match(text)
    if named is None:
        return guess_separator(text, usual), text
    return named[1], text[named.end() :]


def _rows(path: Path, text: str, separator: str, asked: Sequence[str]) -> tuple[list[Row], str]:
    """Parse strictly, in the first of the ways to write quotes in which all rows have as many cells.

    Returns the rows and the way's note. If none fits, what was wrong with the first one is raised.
    """
    ways = [PLAIN]
    if '\\"' in text or f"\\{separator}" in text:
        ways.append(ESCAPED)
    if '"' in text:
        ways.append(UNQUOTED)
    problems: list[DataError] = []
    for way in ways:
        try:
            rows = _parsed(path, text, separator, way)
            _refuse_ragged(path, rows, asked)
        except DataError as error:
            problems.append(error)
            continue
        # Then quotes are not letters, and what is wrong with them was found in an earlier way.
        if way is UNQUOTED and _has_quoted_cells(rows):
            break
        note = way.note
        # A quote that opens a text may swallow lines up to the next one, in silence.
        if way is PLAIN and separator == "\t":
            lines = _lines(path, text)
            if lines:
                rows, note = lines, UNQUOTED.note
        if rows:
            refuse_doubtful_header(str(path), _cells(rows), asked)
        return rows, note
    raise problems[0]


def _parsed(path: Path, text: str, separator: str, way: Quoting) -> list[Row]:
    if way is ESCAPED:
        text = without_plain_backslashes(text, separator)
    file = io.StringIO(text, newline="")
    is_spaced = has_spaced_quotes(text, separator)
    return list(parsed_rows(path, file, separator, way, is_spaced=is_spaced))


def has_spaced_quotes(text: str, separator: str) -> bool:
    """Whether a space stands between separator and quote in the first rows, as in ``a, "b"``."""
    spaced = re.compile(rf'.*\n?.*{re.escape(separator)} +"')
    return spaced.match(text) is not None


def parsed_rows(
    path: Path, lines: Iterable[str], separator: str, way: Quoting, *, is_spaced: bool
) -> Iterator[Row]:
    """Yield the rows that are in lines, without the empty ones, with the line that each ends on.

    Where quotes are spaced they begin a cell behind the space. Raises :class:`DataError`, naming the line.
    """
    reader = csv.reader(
        lines,
        delimiter=separator,
        strict=True,
        skipinitialspace=is_spaced,
        escapechar=way.escape,
        quoting=way.quoting,  # type: ignore[arg-type]
    )
    line = 0
    try:
        for row in reader:
            if row:
                line = reader.line_num
                yield line, row
    except csv.Error as error:
        raise DataError(
            f"{path}: line {line + 1} is not valid CSV ({error}); a quote in a quoted cell must be doubled"
        ) from error


def without_plain_backslashes(text: str, separator: str) -> str:
    r"""Double the backslashes that escape nothing, so that they stay: ``C:\new`` is not ``C:new``."""
    special = re.escape(f'"\\{separator}')
    backslash = re.compile(rf"\\(?![{special}])|(\\[{special}])")

    def kept(match: re.Match[str]) -> str:
        return match[1] or r"\\"

    return backslash.sub(kept, text)


def _lines(path: Path, text: str) -> list[Row]:
    """Return the rows of a file in which quotes are letters, although they would also join some lines.

    That is so where every line has as many cells: then a quote is the first letter of a text here and there.
    """
    if '"' not in text:
        return []
    quoted = _parsed(path, text, "\t", PLAIN)
    if not quoted:
        return []
    _, first = quoted[0]
    if len(first) == 1:
        return []
    lines = _parsed(path, text, "\t", UNQUOTED)
    # Quotes that join no lines are read as such, and so are those around whole cells.
    if len(lines) <= len(quoted) or _has_quoted_cells(lines):
        return []
    widths = set(map(len, _cells(lines)))
    if len(widths) != 1:
        return []
    return lines


def _has_quoted_cells(rows: Sequence[Row]) -> bool:
    """Whether quotes mostly stand around whole cells, so that reading them as letters would add them."""
    opened, closed = 0, 0
    for _, row in rows:
        opens, closes = quotes_in(row)
        opened += opens
        closed += closes
    return closed > opened / 2


def quotes_in(row: Sequence[str]) -> tuple[int, int]:
    """Return how many cells of a row begin with a quote, and how many of these end with one."""
    opened, closed = 0, 0
    for cell in row:
        if cell.startswith('"'):
            opened += 1
            if len(cell) > 1 and cell.endswith('"'):
                closed += 1
    return opened, closed


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    return [row for _, row in rows]


def _refuse_ragged(path: Path, rows: Sequence[Row], asked: Sequence[str]) -> None:
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            refuse_ragged(path, line, row, _cells(rows), asked)


def refuse_ragged(path: Path, line: int, row: Sequence[str], cells: Cells, asked: Sequence[str]) -> NoReturn:
    """Raise :class:`DataError` for a row that has not as many cells as the first of ``cells``."""
    # A doubtful header explains more, and comes first.
    refuse_doubtful_header(str(path), cells, asked)
    first = cells[0]
    raise DataError(
        f"{path}: line {line} has {len(row)} cells, the first line names {len(first)} columns "
        f"({', '.join(first)})"
    )


def names_of(path: Path, first: Sequence[str], width: int) -> list[str]:
    """Name the first ``width`` columns, those without a name by their number.

    Raises :class:`DataError` for a name that comes twice.
    """
    names: list[str] = []
    for number, cell in enumerate(first[:width], 1):
        name = cell.strip("\ufeff \t\r\n")
        names.append(name or f"column {number}")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: the first line names a column twice ({', '.join(names)})")
    return names


def named_width(first: Sequence[str]) -> int:
    """Return how many columns there are up to the last that has a name."""
    width = len(first)
    while width and not first[width - 1].strip():
        width -= 1
    return width


def used_width(row: Sequence[str], least: int) -> int:
    """Return how many columns there are up to the last that holds anything in a row, ``least`` or more."""
    # Spreadsheets write separators behind the last column that is used.
    width = len(row)
    while width > least and not row[width - 1]:
        width -= 1
    return width
