"""Tables as JSON: objects one after another, a list of them, or an object of columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.table import Cell, DataTable

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
# What pandas writes with orient="split".
_SPLIT = ({"columns", "data"}, {"columns", "index", "data"})

_Value = tuple[int, object]
"""The line that a value begins on, 0 where it is inside another one, and the value."""

_Columns = dict[str, Sequence[Cell]]


def read_json(path: Path, text: str) -> DataTable:
    """Read a file of JSON. Raises :class:`DataError`, naming the line, where it is not a table.

    A single object of lists is a table of columns, but in a file whose name says that each line is a row.
    """
    name = path.name.lower()
    is_lines = ".jsonl" in name or ".ndjson" in name
    values = _values(path, text, is_lines=is_lines)
    notes: tuple[str, ...] = ()
    if len(values) == 1:
        _, content = values[0]
        if isinstance(content, dict) and not is_lines:
            columns = _columns_of(content)
            if columns is not None:
                _check_lengths(path, columns)
                return DataTable(path.name, columns)
            records, notes = _records_of(content)
            values = _without_lines(records)
        elif isinstance(content, list):
            values = _without_lines(content)
    # A list of strings is a list of texts.
    texts = [value for _, value in values if isinstance(value, str)]
    if values and len(texts) == len(values):
        return DataTable(path.name, {"text": texts}, notes=notes)
    return DataTable(path.name, _joined(path, values), notes=notes)


def _without_lines(records: Sequence[object]) -> list[_Value]:
    """Return records inside of one value: JSON does not say on which lines they begin."""
    return [(0, record) for record in records]


def _joined(path: Path, values: Sequence[_Value]) -> _Columns:
    """Make columns of objects; a name that an object does not have gives None."""
    rows: list[dict[str, Cell]] = []
    # Names in the order in which they first come.
    names: dict[str, None] = {}
    for number, (line, value) in enumerate(values, 1):
        if not isinstance(value, dict):
            where = f"record {number}"
            if line:
                where = f"line {line}"
            raise DataError(f"{path}: {where}: expected an object, found {type(value).__name__}")
        rows.append(value)
        names.update(dict.fromkeys(value))
    columns: _Columns = {}
    for name in names:
        columns[name] = [row.get(name) for row in rows]
    return columns


def _values(path: Path, text: str, *, is_lines: bool) -> list[_Value]:
    """Read values until the end, each with its line: one in all, one on each line, or as jq writes them."""
    decoder = json.JSONDecoder()
    values: list[_Value] = []
    at, line, counted = _behind_space(text, 0), 1, 0
    while at < len(text):
        # Counting from the value before keeps this linear in the length of the file.
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            # A value may go over many lines, and breaks on one of them; in a file of lines it may not.
            where = error.lineno
            if is_lines:
                where = line
            raise DataError(f"{path}: line {where} is not valid JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {line} is not valid JSON ({error})") from error
        values.append((line, value))
        at = _behind_space(text, end)
    return values


def _behind_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    if space is None:
        return at
    return space.end()


def _columns_of(content: Mapping[str, object]) -> _Columns | None:
    """Return columns if an object is a table by columns, None if it holds records or is one."""
    values = list(content.values())
    if not values or _is_split(content) or _list_of_records(content):
        return None
    if _all_are(list, values):
        return dict(content)  # type: ignore[arg-type]
    if not _is_by_row_number(values):
        return None
    columns: _Columns = {}
    for name, cells in content.items():
        if isinstance(cells, dict):
            columns[name] = list(cells.values())
    return columns


def _is_by_row_number(values: Sequence[object]) -> bool:
    """Whether all are objects with the same numbers for names: pandas with orient="columns"."""
    first = values[0]
    if not isinstance(first, dict):
        return False
    for value in values:
        if not isinstance(value, dict):
            return False
        if set(value) != set(first):
            return False
    # An index may be negative.
    for key in first:
        if not key.lstrip("-").isdecimal():
            return False
    return True


def _records_of(content: Mapping[str, object]) -> tuple[Sequence[object], tuple[str, ...]]:
    """Return the records that an object holds in one of the usual ways, else itself as the only one."""
    if _is_split(content):
        return _named(content["columns"], content["data"]), ()  # type: ignore[arg-type]
    name = _list_of_records(content)
    if name:
        return content[name], (f"records in {name!r}",)  # type: ignore[return-value]
    values = list(content.values())
    # Named records: pandas with orient="index".
    if values and _all_are(dict, values):
        return values, ()
    return [content], ()


def _is_split(content: Mapping[str, object]) -> bool:
    """Whether an object lists the names of columns and, apart from them, rows of cells."""
    if set(content) not in _SPLIT:
        return False
    names, rows = content["columns"], content["data"]
    return isinstance(names, list) and isinstance(rows, list) and _all_are(list, rows)


def _named(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[object]:
    """Give each row of cells its names."""
    records: list[object] = []
    for row in rows:
        records.append(dict(zip(names, row, strict=False)))
    return records


def _list_of_records(content: Mapping[str, object]) -> str:
    """Return the name of the only list, empty unless it is one of objects."""
    lists: list[str] = []
    for name, value in content.items():
        if isinstance(value, list):
            lists.append(name)
    if len(lists) != 1:
        return ""
    records = content[lists[0]]
    if isinstance(records, list) and records and _all_are(dict, records):
        return lists[0]
    return ""


def _all_are(kind: type, values: Sequence[object]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _check_lengths(path: Path, columns: Mapping[str, Sequence[Cell]]) -> None:
    lengths = set(map(len, columns.values()))
    if len(lengths) <= 1:
        return
    shown: list[str] = []
    for name, cells in columns.items():
        shown.append(f"{name} {len(cells):,}")
    raise DataError(f"{path}: expected columns of equal length, found {', '.join(shown)}")
