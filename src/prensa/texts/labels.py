"""Labels as people write them, turned into the ids that the model knows them by."""

from __future__ import annotations

import ast
import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.task import Task
from prensa.errors import DataError
from prensa.texts.ids import (
    IGNORED,
    NOT_JUDGED,
    Way,
    as_int,
    as_number,
    as_yes_or_no,
    is_missing,
    mapped,
    mapping_key,
    name_finder,
    ways,
)
from prensa.texts.names import quoted
from prensa.texts.table import DataTable

Labels = list[NDArray[Any]]
"""For each text: an id ``[]``, zeros and ones ``[labels]``, a number ``[]``, or an id for each word
``[words]``, where ``IGNORED`` marks words without one."""

_SHOWN = 5  # unknown labels in a message
_COUNTED = 8  # labels with their counts in an account
_SEPARATORS = (",", ";", "|")  # between several labels in a cell
_SHARES = (
    "holds shares from 0 to 1, no labels; choose a threshold and make labels of them, "
    "such as 1 from 0.5 on and 0 below"
)
_LIST_WITHOUT_COMMAS = re.compile(r"""['"]\s+['"]""")  # what numpy prints; Python would join the words

_Parse = Callable[[Any, Callable[[Any], int], int], "NDArray[Any]"]


@dataclass(frozen=True)
class Labelled:
    """The labels of each row, None where it has none. ``account`` says how many there are of each."""

    rows: list[NDArray[Any] | None]
    account: str


def read_labels(
    table: DataTable,
    columns: tuple[str, ...],
    task: Task,
    mapping: Mapping[str, str] | None = None,
    skipped: Collection[int] = (),
) -> Labelled:
    """Read the labels of every row: all ids, or all names of the model's config whatever their case.

    Names behind a data set's integers are followed where the model knows them all. Several labels are
    a list, or separated by commas (words' labels: by spaces); a list of zeros and ones with one number for
    each label of the model marks those that apply. Of two labels, false and no are the first. ``mapping``
    leads from the data's names to the model's; an empty name leaves rows out. Rows with an empty cell, or -1
    where that can be no label, have no labels, and nor have those in ``skipped``, which are not counted.
    Raises :class:`DataError` for labels that the model does not know, and for those that may mean two things.
    """
    if len(columns) > 1:
        return _read_marks(table, columns, task, skipped)
    (column,) = columns
    if task.kind == "regression":
        return _read_numbers(table, column, mapping, skipped)
    cells = table.columns[column]
    if task.kind == "multi-label":
        _refuse_marks_of_one_label(table, column, task, mapping)
    unknown: Counter[str] = Counter()
    problem = ""
    known_ways = ways(task.labels, table.classes.get(column, ()), column)
    if mapping is not None:
        _refuse_idle(table, column, mapping)
        classes = table.classes.get(column, ())
        known_ways = [mapped(way, mapping, task.labels, classes) for way in known_ways]
    for way in known_ways:
        for parse in _PARSES[task.kind]:
            found = _Read(way, task)
            rows = found.rows(cells, parse, skipped)
            refused = way.refuse(found.ids, found.has_not_judged) if not found.unknown else ""
            if not found.unknown and not refused:
                return Labelled(rows, found.account(rows))
            problem = problem or refused
            if found.unknown and (not unknown or len(found.unknown) < len(unknown)):
                unknown = found.unknown
    if problem:
        raise DataError(f"{table.name}: column {column!r} {problem}")
    raise DataError(_unknown(table.name, column, unknown, task))


class _Read:
    """What one way of reading makes of a column: the rows one by one, and what was seen meanwhile."""

    def __init__(self, way: Way, task: Task) -> None:
        self.way, self.task = way, task
        self.unknown: Counter[str] = Counter()
        self.seen: Counter[tuple[str, int]] = Counter()
        self.has_not_judged = False
        self.weight = 1  # rows that have the cell at hand

    @property
    def ids(self) -> set[int]:
        """The labels that came."""
        return {index for _, index in self.seen}

    def rows(
        self, cells: Sequence[Any], parse: _Parse, skipped: Collection[int]
    ) -> list[NDArray[Any] | None]:
        """Read every cell, those that are alike once: there are few different labels, and many rows."""
        keys = [_key(row, cell, skipped) for row, cell in enumerate(cells)]
        counts = Counter(keys)
        found: dict[Any, NDArray[Any] | None] = {None: None}
        for key, cell in zip(keys, cells, strict=True):
            if key not in found:
                self.weight = counts[key]
                found[key] = self._row(cell, parse)
        return [found[key] for key in keys]

    def _row(self, cell: Any, parse: _Parse) -> NDArray[Any] | None:
        """Read a cell; None where it has no label."""
        says_none = self.task.kind == "multi-label" and (cell is None or not str(cell).strip())
        if is_missing(cell) and self.way.find(cell) is None and not says_none:
            return None
        if self.task.kind != "tokens" and self._is_not_judged(cell):
            self.has_not_judged = True
            return None
        found = parse(cell, self._to_id, len(self.task.labels))
        is_left_out = self.task.kind == "classes" and int(found) == IGNORED
        return None if is_left_out else found

    def account(self, rows: Sequence[NDArray[Any] | None]) -> str:
        """Say which labels came how often, and as what where the data says it in other words."""
        labels = self.task.labels
        if self.task.kind == "multi-label":
            totals = sum((row for row in rows if row is not None), np.zeros(len(labels), dtype=np.int64))
            if totals.sum() != self.seen.total():  # lists of zeros and ones say no words
                counts = {(labels[index], int(index)): int(totals[index]) for index in totals.nonzero()[0]}
                self.seen = Counter(counts)
        shown = [_as(word, labels[index], count) for (word, index), count in self.seen.most_common(_COUNTED)]
        if len(self.seen) > _COUNTED:
            shown.append(f"{len(self.seen) - _COUNTED} more")
        absent = [name for index, name in enumerate(labels) if index not in self.ids]
        if absent and len(labels) <= _COUNTED:
            shown.append(f"none {quoted(absent)}")
        if self.task.kind == "multi-label":
            shown.append(_without_any(rows))
        return ", ".join(shown)

    def _is_not_judged(self, cell: Any) -> bool:
        values = cell if isinstance(cell, (list, tuple)) and len(cell) else [cell]
        if any(as_int(value) != NOT_JUDGED for value in values):
            return False
        return all(self.way.find(value) is None for value in values)

    def _to_id(self, value: Any) -> int:
        index = self.way.find(value)
        if index is None and self.task.kind == "tokens" and as_int(value) == IGNORED:
            return IGNORED
        if index is None:
            self.unknown[str(value)] += self.weight
        elif index != IGNORED:
            number = as_int(value)
            self.seen[str(value).strip() if number is None else str(number), index] += self.weight
        return IGNORED if index is None else index


def _key(row: int, cell: Any, skipped: Collection[int]) -> Any:
    """Return what is alike for cells that say the same, None for rows to skip. True is not 1 here."""
    if row in skipped:
        return None
    return (type(cell), cell) if cell is None or isinstance(cell, (str, int, float)) else row


def _as(word: str, label: str, count: int) -> str:
    is_name = word == label or name_finder([label])(word) == 0
    return f"{count:,} {label!r}" if is_name else f"{count:,} {word!r} as {label!r}"


def _without_any(rows: Sequence[NDArray[Any] | None]) -> str:
    return f"{sum(row is not None and not row.any() for row in rows):,} without any"


def _unknown(name: str, column: str, unknown: Counter[str], task: Task) -> str:
    numbers = [as_number(word) for word in unknown]
    if all(0 <= number <= 1 for number in numbers) and any(not number.is_integer() for number in numbers):
        return f"{name}: column {column!r} {_SHARES}"
    shown = ", ".join(f"{word!r} ({count}×)" for word, count in unknown.most_common(_SHOWN))
    more = " …" if len(unknown) > _SHOWN else ""
    known = ", ".join(f"{index} {label!r}" for index, label in enumerate(task.labels))
    if numbers == [len(task.labels)]:
        example = ",".join(f"{at + 1}={label}" for at, label in enumerate(task.labels))
        hint = f"if the data counts labels from 1, give --labels {example}"
    else:
        words = [word for word, _ in unknown.most_common(2)]
        hint = f"say which is which: --labels {','.join(f'{word}=LABEL' for word in words)}"
    return (
        f"{name}: column {column!r} has labels that the model does not know: {shown}{more}; "
        f"it knows {known}; {hint}"
    )


def _refuse_idle(table: DataTable, column: str, mapping: Mapping[str, str]) -> None:
    """Refuse a mapping none of whose names comes: a slip of the pen."""
    classes = table.classes.get(column, ())
    for cell in table.columns[column]:
        for word in [cell, *(_listed(cell, None) or []), *(_listed(cell, ",") or [])]:
            if mapping_key(word, mapping, classes) is not None:
                return
    raise DataError(
        f"{table.name}: --labels names {quoted(list(mapping))}, and none of them is in column {column!r}"
    )


def _read_numbers(
    table: DataTable, column: str, mapping: Mapping[str, str] | None, skipped: Collection[int]
) -> Labelled:
    if mapping is not None:
        raise DataError(f"{table.name}: --labels, but the model gives a number, which has no name")
    cells = table.columns[column]
    numbers = [
        None if row in skipped or is_missing(cell) else as_number(cell) for row, cell in enumerate(cells)
    ]
    for row, number in enumerate(numbers, 1):
        if number is not None and not math.isfinite(number):
            raise DataError(
                f"{table.name}: row {row}, column {column!r}: expected a number, found {cells[row - 1]!r}"
            )
    found = [number for number in numbers if number is not None]
    account = f"{min(found):g} to {max(found):g}" if found else ""
    return Labelled([None if number is None else np.array(number) for number in numbers], account)


def _read_marks(table: DataTable, columns: tuple[str, ...], task: Task, skipped: Collection[int]) -> Labelled:
    """Read a column of zeros and ones for each label, in the order of the model's labels."""
    marks = [_marks(table, name) for name in columns]
    rows: list[NDArray[Any] | None] = []
    for number, values in enumerate(zip(*marks, strict=True), 1):
        is_left_out = None in values or number - 1 in skipped
        row = None if is_left_out else np.array(values, dtype=np.int64)
        if row is not None and task.kind == "classes":
            if row.sum() != 1:
                raise DataError(
                    f"{table.name}: row {number} has {row.sum()} labels ({', '.join(columns)}); the model "
                    "gives one for each text (multi-label models say so in config.json: problem_type)"
                )
            row = np.array(row.argmax())
        rows.append(row)
    counts = [
        sum(mark == 1 for mark, row in zip(column, rows, strict=True) if row is not None) for column in marks
    ]
    each = zip(columns, task.labels, counts, strict=True)
    shown = [_as(name, label, count) for name, label, count in each]
    if task.kind == "multi-label":
        shown.append(_without_any(rows))
    return Labelled(rows, ", ".join(shown))


def _marks(table: DataTable, column: str) -> list[int | None]:
    known: dict[Any, int | None] = {}  # there are few different cells, and many rows
    marks = []
    for row, cell in enumerate(table.columns[column], 1):
        if not isinstance(cell, (str, int, float)):
            marks.append(_mark(table, column, row, cell))
            continue
        if cell not in known:
            known[cell] = _mark(table, column, row, cell)
        marks.append(known[cell])
    return marks


def _mark(table: DataTable, column: str, row: int, cell: Any) -> int | None:
    if is_missing(cell) or as_int(cell) == NOT_JUDGED:
        return None
    mark = as_int(cell) if as_yes_or_no(cell) is None else as_yes_or_no(cell)
    if mark not in {0, 1}:
        hint = f"; the column {_SHARES}" if 0 < as_number(cell) < 1 else ""
        raise DataError(f"{table.name}: row {row}, column {column!r}: expected 0 or 1, found {cell!r}{hint}")
    return mark


def _refuse_marks_of_one_label(
    table: DataTable, column: str, task: Task, mapping: Mapping[str, str] | None
) -> None:
    """Refuse zeros and ones for a model of several labels: marks of one label, or ids of two."""
    cells = [cell for cell in table.columns[column] if not is_missing(cell)]
    is_marks = all(not isinstance(cell, (list, tuple)) and _is_mark(cell) for cell in cells)
    if mapping is None and cells and is_marks and len(task.labels) > 1:
        raise DataError(
            f"{table.name}: column {column!r} holds 0 and 1, and the model gives several labels at once; "
            "give a column for each (--label-column a,b,…), or --labels 0=LABEL,1=LABEL if these are ids"
        )


def _is_mark(cell: Any) -> bool:
    return as_int(cell) in {NOT_JUDGED, 0, 1} or as_yes_or_no(cell) is not None


def _one(value: Any, to_id: Callable[[Any], int], count: int) -> NDArray[Any]:  # noqa: ARG001
    return np.array(to_id(value))


def _each(value: Any, to_id: Callable[[Any], int], count: int) -> NDArray[Any]:  # noqa: ARG001
    return np.array([to_id(word) for word in _listed(value, None)], dtype=np.int64)


def _marked(value: Any, to_id: Callable[[Any], int], count: int, separator: str) -> NDArray[Any]:
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in _listed(value, separator)]
    if len(cells) == count and all(as_int(cell) in {0, 1} for cell in cells):
        return np.array([as_int(cell) for cell in cells])
    marks = np.zeros(count, dtype=np.int64)
    marks[[index for index in map(to_id, cells) if index != IGNORED]] = 1
    return marks


_PARSES: dict[str, list[_Parse]] = {
    "classes": [_one],
    "tokens": [_each],
    "multi-label": [functools.partial(_marked, separator=separator) for separator in _SEPARATORS],
}


def as_list(value: Any) -> list[Any] | None:
    """Return a list that a cell is, or that it says in JSON or as Python prints it; None where it is none."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str) or not value.strip().startswith("["):
        return None
    for read in (json.loads, ast.literal_eval):
        if read is ast.literal_eval and _LIST_WITHOUT_COMMAS.search(value):
            return None
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return list(found) if isinstance(found, (list, tuple)) else None
    return None


def _listed(value: Any, separator: str | None) -> list[Any]:
    if value is None:
        return []
    if (found := as_list(value)) is not None:
        return found
    if not isinstance(value, str):
        return [value]
    return [cell for cell in value.split(separator) if cell.strip()]
