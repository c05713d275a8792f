"""Tables as JSON: objects one after another, a list of them, or an object of columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prensa.errors import DataError
from prensa.texts.table import DataTable

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")

_Found = list[tuple[int, Any]]  # the line that it begins on, and what it is


def read_json(path: Path, text: str) -> DataTable:
    """Read a file of JSON. Raises :class:`DataError`, naming the line, where it is not a table.

    A single object of lists is a table of columns, but in a file whose name says that each line is a row.
    """
    is_lines = any(ending in path.name.lower() for ending in (".jsonl", ".ndjson"))
    values = _values(path, text, is_lines=is_lines)
    notes: tuple[str, ...] = ()
    if len(values) == 1 and isinstance(values[0][1], dict) and not is_lines:
        content, notes = _of_object(values[0][1])
        if isinstance(content, dict):
            return DataTable(path.name, _columns(path, content), notes=notes)
        values = [(0, each) for each in content]
    elif len(values) == 1 and isinstance(values[0][1], list):
        values = [(0, each) for each in values[0][1]]
    if values and all(isinstance(value, str) for _, value in values):
        return DataTable(path.name, {"text": [value for _, value in values]}, notes=notes)
    rows: list[dict[str, Any]] = []
    for number, (line, value) in enumerate(values, 1):
        if not isinstance(value, dict):
            where = f"line {line}" if line else f"record {number}"
            raise DataError(f"{path}: {where}: expected an object, found {type(value).__name__}")
        rows.append(value)
    names = dict.fromkeys(name for row in rows for name in row)
    return DataTable(path.name, {name: [row.get(name) for row in rows] for name in names}, notes=notes)


def _values(path: Path, text: str, *, is_lines: bool) -> _Found:
    """Read values until the end, each with its line: one in all, one on each line, or as jq writes them."""
    decoder = json.JSONDecoder()
    found: _Found = []
    at, line, counted = _behind_space(text, 0), 1, 0
    while at < len(text):
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = line if is_lines else error.lineno
            raise DataError(f"{path}: line {where} is not valid JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {line} is not valid JSON ({error})") from error
        found.append((line, value))
        at = _behind_space(text, end)
    return found


def _behind_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _of_object(content: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return columns (a dict) or records (a list): the ways in which pandas and others write a table."""
    values = list(content.values())
    if set(content) in ({"columns", "data"}, {"columns", "index", "data"}):  # pandas, orient="split"
        return [dict(zip(content["columns"], row, strict=False)) for row in content["data"]], ()
    lists_of_objects = [
        name for name, value in content.items() if isinstance(value, list) and value and _all(dict, value)
    ]
    if len(lists_of_objects) == 1 and sum(isinstance(value, list) for value in values) == 1:
        return content[lists_of_objects[0]], (f"records in {lists_of_objects[0]!r}",)
    if values and _all(dict, values):
        by_row = all(set(value) == set(values[0]) for value in values)
        if by_row and all(key.lstrip("-").isdecimal() for key in values[0]):  # orient="columns"
            return {name: list(value.values()) for name, value in content.items()}, ()
        return values, ()  # orient="index"
    if values and _all(list, values):
        return content, ()
    return [content], ()


def _all(kind: type, values: Sequence[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _columns(path: Path, content: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    lengths = {name: len(values) for name, values in content.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DataError(f"{path}: expected columns of equal length, found {shown}")
    return content
