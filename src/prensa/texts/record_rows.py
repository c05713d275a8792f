"""Objects of JSON, one on each line, read one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.blocks import encoding_note, lines_in
from prensa.texts.delimited_rows import FIRST
from prensa.texts.table import Cell

_SPACE = "\ufeff \t\r\n"


@dataclass(frozen=True)
class RecordRows:
    """A file of ``count`` objects whose names, each once, are ``names``. ``first`` are a few of them.

    A line that is a string is an object with that ``text``.
    """

    path: Path
    encoding: str | None
    names: tuple[str, ...]
    count: int
    first: tuple[dict[str, Cell], ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> Iterator[dict[str, Cell]]:
        """Yield all objects. Raises :class:`DataError` if the file has become another one."""
        for _, record in _records(self.path, self.encoding):
            yield record


def find_records(path: Path, encoding: str | None = None) -> RecordRows:
    """Read a file of JSON lines to its end, and keep a few rows.

    Raises :class:`DataError`, naming the line, for one that is not an object, nor a string among strings.
    """
    names: dict[str, None] = {}
    first: list[dict[str, Cell]] = []
    count = 0
    for _, record in _records(path, encoding):
        # Most have the names of the first one, in its order.
        if not record.keys() <= names.keys():
            names.update(dict.fromkeys(record))
        if len(first) < FIRST:
            first.append(record)
        count += 1
    note = encoding_note(path, encoding)
    return RecordRows(path, encoding, tuple(names), count, tuple(first), (note,) if note else ())


def _records(path: Path, encoding: str | None) -> Iterator[tuple[int, dict[str, Cell]]]:
    """Yield the line and the object of each line that is not empty."""
    are_texts: bool | None = None
    for number, line in enumerate(lines_in(path, encoding), 1):
        written = line.strip(_SPACE)
        if not written:
            continue
        value = _value(path, number, written)
        if are_texts is None:
            are_texts = isinstance(value, str)
        if are_texts and isinstance(value, str):
            yield number, {"text": value}
        elif not are_texts and isinstance(value, dict):
            yield number, value
        else:
            expected = "a string" if are_texts else "an object"
            raise DataError(f"{path}: line {number}: expected {expected}, found {type(value).__name__}")


def _value(path: Path, number: int, written: str) -> object:
    try:
        value: object = json.loads(written)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {number} is not valid JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: line {number} is not valid JSON ({error})") from error
    return value
