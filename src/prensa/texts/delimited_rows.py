"""Rows of a table with separators one by one, read by the rules of :mod:`prensa.texts.delimited`.

How such a file is written shows in all of it: a quote in the last row may say that quotes are letters. So it
is read once before, or as often as there are ways that do not fit, and nothing of it is kept but the first
rows. Whether the first line is a header is settled by these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.blocks import encoding_note, lines_in
from prensa.texts.delimited import (
    ESCAPED,
    LONG_CELLS,
    PLAIN,
    SEPARATORS,
    UNQUOTED,
    Quoting,
    Row,
    has_spaced_quotes,
    named_width,
    names_of,
    parsed_rows,
    quotes_in,
    refuse_ragged,
    separator_of,
    used_width,
    without_plain_backslashes,
)
from prensa.texts.header import numbered, refuse_doubtful_header

FIRST = 1000
"""Rows that are kept of a file to settle which columns hold what."""

# Lines by which the separator is chosen, and their characters at most.
_LINES = 1000
_CHARACTERS = 1 << 22


@dataclass(frozen=True)
class DelimitedRows:
    """A file of ``count`` rows whose cells are separated; an empty cell is None. ``first`` are a few rows."""

    path: Path
    names: tuple[str, ...]
    count: int
    first: tuple[dict[str, str | None], ...]
    notes: tuple[str, ...]
    way: _Way
    has_header: bool

    def rows(self) -> Iterator[dict[str, str | None]]:
        """Yield all rows. Raises :class:`DataError` if the file has become another one."""
        rows = (cells for _, cells in self.way.rows())
        for cells in islice(rows, int(self.has_header), None):
            yield _named(self.names, cells)


@dataclass(frozen=True)
class _Way:
    """A way to read a file: the separator, how quotes are written, and Excel's own words at its start."""

    path: Path
    encoding: str | None
    separator: str
    skipped: int
    quoting: Quoting
    is_spaced: bool

    def rows(self) -> Iterator[Row]:
        with LONG_CELLS:
            yield from parsed_rows(
                self.path, self._lines(), self.separator, self.quoting, is_spaced=self.is_spaced
            )

    def _lines(self) -> Iterator[str]:
        lines = lines_in(self.path, self.encoding)
        start = next(lines, "")[self.skipped :]
        for line in chain([start], lines):
            if self.quoting is ESCAPED:
                yield without_plain_backslashes(line, self.separator)
            else:
                yield line


@dataclass
class _Seen:
    """What was seen of a file that was read in one way."""

    count: int = 0
    first: list[list[str]] = field(default_factory=list)
    # Columns up to the last one that has a name or holds anything.
    width: int = 0
    joins_lines: bool = False
    opened: int = 0
    closed: int = 0

    @property
    def has_quoted_cells(self) -> bool:
        """Whether quotes mostly stand around whole cells."""
        return self.closed > self.opened / 2


def find_rows(
    path: Path, usual: str, encoding: str | None = None, asked: Sequence[str] = ()
) -> DelimitedRows:
    """Find out how a table is written; ``usual`` is the separator that its name says.

    ``asked`` are the options that name columns, as in :func:`~prensa.texts.delimited.read_delimited`, whose
    errors this raises.
    """
    head = "".join(_head(path, encoding))
    with LONG_CELLS:
        separator, table = separator_of(head, usual)
    way, seen = _way_of(path, encoding, separator, len(head) - len(table), table, asked)
    if not seen.count:
        raise DataError(f"{path}: empty, expected a line of column names and at least one text")
    notes: list[str] = []
    if separator != usual:
        name = SEPARATORS.get(separator, repr(separator))
        notes.append(f"separator {name}")
    for note in (way.quoting.note, encoding_note(path, encoding)):
        if note:
            notes.append(note)
    first = seen.first
    has_header = not numbered(first[0], asked)
    if has_header:
        names = names_of(path, first[0], seen.width)
        first = first[1:]
    else:
        numbers = range(1, len(first[0]) + 1)
        names = list(map(str, numbers))
        notes.append("no line of column names")
    return DelimitedRows(
        path,
        tuple(names),
        seen.count - int(has_header),
        tuple(_named(names, cells) for cells in first),
        tuple(notes),
        way,
        has_header,
    )


def _way_of(
    path: Path, encoding: str | None, separator: str, skipped: int, head: str, asked: Sequence[str]
) -> tuple[_Way, _Seen]:
    """Return the first way in which all rows have as many cells, as ``delimited`` tries them."""
    problems: list[DataError] = []
    for quoting in (PLAIN, ESCAPED, UNQUOTED):
        start = head
        if quoting is ESCAPED:
            start = without_plain_backslashes(head, separator)
        is_spaced = has_spaced_quotes(start, separator)
        way = _Way(path, encoding, separator, skipped, quoting, is_spaced)
        try:
            seen = _seen(way, asked)
        except DataError as error:
            problems.append(error)
            continue
        # Then quotes are not letters, and what is wrong with them was found in an earlier way.
        if quoting is UNQUOTED and seen.has_quoted_cells:
            break
        # A quote that opens a text may swallow lines up to the next one, in silence.
        if quoting is PLAIN and separator == "\t" and seen.joins_lines:
            way, seen = _of_letters(way, seen)
        if seen.first:
            refuse_doubtful_header(str(path), seen.first, asked)
        return way, seen
    raise problems[0]


def _of_letters(way: _Way, seen: _Seen) -> tuple[_Way, _Seen]:
    """Return the way in which quotes are letters if every line then has as many cells, else ``way``."""
    other = _Way(way.path, way.encoding, way.separator, way.skipped, UNQUOTED, way.is_spaced)
    try:
        lines = _seen(other, ())
    except DataError:
        return way, seen
    if len(seen.first[0]) == 1 or lines.count <= seen.count or lines.has_quoted_cells:
        return way, seen
    return other, lines


def _seen(way: _Way, asked: Sequence[str]) -> _Seen:
    """Read a file to its end. Raises :class:`DataError` for rows that do not fit, naming the line."""
    seen = _Seen()
    last = 0
    for line, row in way.rows():
        if not seen.count:
            seen.width = named_width(row)
        elif len(row) != len(seen.first[0]):
            refuse_ragged(way.path, line, row, [*seen.first, row], asked)
        elif line > last + 1 and any("\n" in cell or "\r" in cell for cell in row):
            seen.joins_lines = True
        if seen.count:
            seen.width = used_width(row, seen.width)
        if way.quoting is UNQUOTED:
            opened, closed = quotes_in(row)
            seen.opened += opened
            seen.closed += closed
        if len(seen.first) <= FIRST:
            seen.first.append(row)
        seen.count += 1
        last = line
    return seen


def _head(path: Path, encoding: str | None) -> Iterator[str]:
    """Yield the first lines of a file."""
    characters = 0
    for line in islice(lines_in(path, encoding), _LINES):
        yield line
        characters += len(line)
        if characters >= _CHARACTERS:
            return


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, str | None]:
    """Name cells; of columns without a name at the end nothing is kept, and an empty cell says nothing."""
    return {name: cell or None for name, cell in zip(names, cells, strict=False)}
