"""A column of zeros and ones for each label: several labels of a text, or one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.ids import NOT_JUDGED, as_int, as_number, as_yes_or_no, is_missing
from prensa.texts.labelled import SHARES, Label, Labelled, without_any, worded
from prensa.texts.reading import numbers_of
from prensa.texts.table import Cell, DataTable

_TWO = 2

_Marks = list[int | None]
"""Of one label in each row, None for a row that nobody judged."""


def read_marks(table: DataTable, columns: tuple[str, ...], task: Task, skipped: Collection[int]) -> Labelled:
    """Read columns in the order of the model's labels. Rows with an empty cell, or -1, have no labels.

    Raises :class:`DataError`, naming the row, for a cell that is no mark, and for a row of several labels if
    the model gives one.
    """
    marks = [_marks_in(table, name) for name in columns]
    counts = [0] * len(columns)
    rows: list[Label | None] = []
    for number, values in enumerate(zip(*marks, strict=True)):
        if None in values or number in skipped:
            rows.append(None)
            continue
        row = np.array(values, dtype=np.int64)
        for index, mark in enumerate(values):
            counts[index] += mark == 1
        if task.kind == "classes":
            if row.sum() != 1:
                names = ", ".join(columns)
                raise DataError(
                    f"{table.name}: row {number + 1} has {row.sum()} labels ({names}); the "
                    "model gives one for each text (multi-label models say so in config.json: problem_type)"
                )
            # The id of the only one.
            row = np.array(row.argmax())
        rows.append(row)
    accounts: list[str] = []
    for name, label, count in zip(columns, task.labels, counts, strict=True):
        accounts.append(worded(name, label, count))
    if task.kind == "multi-label":
        accounts.append(without_any(rows))
    return Labelled(rows, ", ".join(accounts))


def refuse_marks_of_one_label(
    table: DataTable, column: str, task: Task, mapping: Mapping[str, str] | None
) -> None:
    """Raise :class:`DataError` for zeros and ones as labels of a model of several.

    They may be marks of one label, or ids of two; a ``mapping`` says which.
    """
    if mapping is not None or len(task.labels) <= 1:
        return
    has_marks = False
    for cell in table.columns[column]:
        if is_missing(cell):
            continue
        if isinstance(cell, (list, tuple)) or not _is_mark(cell):
            return
        has_marks = True
    if has_marks:
        raise DataError(
            f"{table.name}: column {column!r} holds 0 and 1, and the model gives several labels at once; "
            "give a column for each (`label_column=a,b,…`), or `labels` 0=LABEL,1=LABEL if these are ids"
        )


def refuse_marks_among_ids(
    table: DataTable, column: str, task: Task, mapping: Mapping[str, str] | None
) -> None:
    """Raise :class:`DataError` for lists some of which can only be ids, and others be marks as well.

    Of a model of two labels, ``[0, 1]`` beside ``[0]`` would be read as the second label alone. Marks of more
    labels repeat a number, which ids do not. With a ``mapping`` all are ids.
    """
    if mapping is not None or len(task.labels) != _TWO:
        return
    may_mark, has_ids = False, False
    for cell in table.columns[column]:
        numbers = numbers_of(cell)
        may_mark = may_mark or sorted(numbers) == [0, 1]
        has_ids = has_ids or (len(numbers) == 1 and numbers != [NOT_JUDGED])
    if may_mark and has_ids:
        raise DataError(
            f"{table.name}: column {column!r} has lists that may be marks of both labels, and others that "
            "are ids; give `labels` 0=LABEL,1=LABEL if all are ids, or a column for each label "
            "(`label_column=a,b`)"
        )


def _marks_in(table: DataTable, column: str) -> _Marks:
    # There are few different cells, and many rows: each is read once. 1, 1.0 and True are one key, and
    # one mark.
    known: dict[str | float, int | None] = {}
    marks: _Marks = []
    for row, cell in enumerate(table.columns[column], 1):
        if not isinstance(cell, (str, int, float)):
            marks.append(_mark(table, column, row, cell))
            continue
        if cell not in known:
            known[cell] = _mark(table, column, row, cell)
        marks.append(known[cell])
    return marks


def _mark(table: DataTable, column: str, row: int, cell: Cell) -> int | None:
    if is_missing(cell) or as_int(cell) == NOT_JUDGED:
        return None
    mark = as_yes_or_no(cell)
    if mark is None:
        mark = as_int(cell)
    if mark in {0, 1}:
        return mark
    hint = ""
    if 0 < as_number(cell) < 1:
        hint = f"; the column {SHARES}"
    raise DataError(f"{table.name}: row {row}, column {column!r}: expected 0 or 1, found {cell!r}{hint}")


def _is_mark(cell: Cell) -> bool:
    if as_int(cell) in {NOT_JUDGED, 0, 1}:
        return True
    return as_yes_or_no(cell) is not None
