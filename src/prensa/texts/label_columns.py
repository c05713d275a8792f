"""Which columns of a table hold the labels that a model needs, and which might but were not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prensa.checkpoint.kinds import LANGUAGE, Kind, Task
from prensa.errors import DataError
from prensa.texts.ids import NOT_JUDGED, Find, as_int, as_yes_or_no, is_missing, name_finder
from prensa.texts.names import (
    ANSWER_COLUMNS,
    LABEL_COLUMNS,
    WRITTEN_COLUMNS,
    find,
    join_names,
    quoted,
    split_names,
)
from prensa.texts.table import Cell, DataTable

_WITHOUT_LABELS = {"embedding", *LANGUAGE}
# Models whose labels may have a column each.
_BY_COLUMNS = {"multi-label", "classes"}
# The usual names, where they are not those of labels alone.
_NAMES: dict[Kind, tuple[str, ...]] = {
    "regression": (*LABEL_COLUMNS, "score"),
    "questions": ANSWER_COLUMNS,
    "writing": (*WRITTEN_COLUMNS, *LABEL_COLUMNS),
}
# Labels of a classifier.
_FEWEST = 2


def label_columns_of(
    table: DataTable,
    wanted: str | None,
    task: Task,
    text_columns: tuple[str, ...],
    mapping: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Choose the columns of labels: those that are ``wanted``, else those with usual names, else none.

    Several columns are in the order of the model's labels, by their names (or what ``mapping`` makes of them)
    if these are the labels', else as they were given. Raises :class:`DataError` for columns that do not
    exist or do not fit the model.
    """
    if wanted == "":
        return ()
    if wanted is not None:
        return _chosen(table, wanted, task, mapping)
    if task.kind in _WITHOUT_LABELS:
        return ()
    if task.kind == "multi-label":
        named = _named_like_labels(table, task, text_columns)
        if named:
            return named
    for name in _NAMES.get(task.kind, LABEL_COLUMNS):
        column = find(name, table.columns)
        if column is not None and column not in text_columns:
            return (column,)
    return ()


def columns_named(table: DataTable, option: str, what: str) -> tuple[str, ...]:
    """Return the columns that an option names: one whose name it is, or several with commas between.

    Raises :class:`DataError` for a name that no column has; ``what`` says what it was to hold.
    """
    names = [option]
    if find(option, table.columns) is None:
        names = split_names(option)
    columns: list[str] = []
    for name in names:
        column = find(name, table.columns)
        if column is None:
            raise DataError(f"{table.name}: no column {name!r} for the {what}; {table.found}")
        columns.append(column)
    return tuple(columns)


def unused_labels(table: DataTable, task: Task, text_columns: tuple[str, ...]) -> str:
    """Say which columns look like labels of the model if none was taken; empty if none does."""
    if task.kind not in _BY_COLUMNS:
        return ""
    candidates = [name for name in table.columns if name not in text_columns]
    # Columns of nothing but zeros and ones, also of ones alone: a rare label may not come at all.
    marks: list[str] = []
    for name in candidates:
        if _holds(table.columns[name], _FEWEST, name_finder(()), fewest=1):
            marks.append(name)
    if task.kind == "multi-label" and marks:
        return _unused_marks(marks, task)
    to_id = name_finder(task.labels)
    own = [name for name in marks if to_id(name) is not None]
    if len(own) == len(task.labels) > _FEWEST:
        return (
            f"no labels: the columns {quoted(own)} are called like the model's labels and not used; "
            f"`label_column={join_names(own)}` takes them where each row has one label"
        )
    # One value says nothing: a column of the same word throughout is no column of labels.
    alike: list[str] = []
    for name in candidates:
        if _holds(table.columns[name], len(task.labels), to_id, fewest=2):
            alike.append(name)
    if not alike:
        return ""
    return f"no labels: not used, but maybe labels: {quoted(alike)}; give `label_column={alike[0]}`"


def _unused_marks(marks: Sequence[str], task: Task) -> str:
    """Say that columns of zeros and ones were not taken, and how they would be."""
    are = "1 column of 0 and 1 is"
    if len(marks) > 1:
        are = f"{len(marks)} columns of 0 and 1 are"
    advice = f"`label_column={join_names(marks)}` takes them in the order of the model's labels"
    if len(marks) != len(task.labels):
        advice = f"`label_column` takes one for each of the model's labels ({', '.join(task.labels)})"
    return f"no labels: {are} not used ({quoted(marks)}); {advice}"


def _named_like_labels(table: DataTable, task: Task, text_columns: Sequence[str]) -> tuple[str, ...]:
    """Return a column for each label of the model, by its name; none if one is missing or holds texts."""
    columns: list[str] = []
    for label in task.labels:
        column = find(label, table.columns)
        if column is None or column in text_columns:
            return ()
        columns.append(column)
    return tuple(columns)


def _chosen(table: DataTable, wanted: str, task: Task, mapping: Mapping[str, str] | None) -> tuple[str, ...]:
    columns = columns_named(table, wanted, "labels")
    if task.kind in _WITHOUT_LABELS:
        raise DataError(
            f"{table.name}: labels in {wanted!r}, but the model gives none; leave `label_column` out"
        )
    if len(columns) == 1:
        return columns
    # Several are a column for each label, and a model of words or numbers has no use for them.
    expected = "one"
    is_allowed = False
    if task.kind in _BY_COLUMNS:
        expected = f"one for each of {', '.join(task.labels)}"
        different = set(columns)
        is_allowed = len(different) == len(columns) == len(task.labels)
    if not is_allowed:
        raise DataError(f"{table.name}: {len(columns)} columns of labels ({wanted}), expected {expected}")
    return _in_order(table, columns, task, mapping or {})


def _in_order(
    table: DataTable, columns: tuple[str, ...], task: Task, mapping: Mapping[str, str]
) -> tuple[str, ...]:
    """Put columns in the order of the labels that they are called like, if all are; some must stand so."""
    to_id = name_finder(task.labels)
    by_label: dict[int, str] = {}
    unnamed: list[str] = []
    misplaced: list[tuple[str, int, int]] = []
    for at, name in enumerate(columns):
        index = to_id(mapping.get(name, name))
        if index is None:
            unnamed.append(name)
            continue
        by_label[index] = name
        if index != at:
            misplaced.append((name, index, at))
    # All labels have a column, and none has two.
    if len(by_label) == len(columns) and not unnamed:
        return tuple(map(by_label.__getitem__, sorted(by_label)))
    # With some names unclear, their places decide; a clear name in another's place shows that they cannot.
    if misplaced:
        name, index, at = misplaced[0]
        unclear = [*unnamed, name][0]
        raise DataError(
            f"{table.name}: column {name!r} is called like the model's label {index}, but stands at {at} "
            "in `label_column` (from 0); give the order of the model's labels, or name the others: "
            f"`labels` {unclear}=LABEL"
        )
    return columns


def _holds(cells: Sequence[Cell], count: int, find_name: Find, *, fewest: int) -> bool:
    """Whether every cell is an id below ``count``, a name, or nothing, with ``fewest`` different ones."""
    seen: set[int] = set()
    for cell in cells:
        if is_missing(cell) or as_int(cell) == NOT_JUDGED:
            continue
        index = find_name(cell)
        if index is None and count == _FEWEST:
            index = as_yes_or_no(cell)
        if index is None:
            index = as_int(cell)
        if index is None or not 0 <= index < count:
            return False
        seen.add(index)
    return len(seen) >= fewest
