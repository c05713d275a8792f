"""Which columns of a table hold the labels that a model needs, and which might but were not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prensa.checkpoint.task import LANGUAGE, Task
from prensa.errors import DataError
from prensa.texts.ids import NOT_JUDGED, Find, as_int, as_yes_or_no, is_missing, name_finder
from prensa.texts.names import LABEL_COLUMNS, find, join_names, quoted, split_names
from prensa.texts.table import DataTable

_WITHOUT_LABELS = {"embedding", *LANGUAGE}
_BY_COLUMNS = {"multi-label", "classes"}  # models whose labels may have a column each
_FEWEST = 2  # labels of a classifier


def label_columns_of(
    table: DataTable,
    wanted: str | None,
    task: Task,
    text_columns: tuple[str, ...],
    mapping: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Choose the columns of labels: those that are ``wanted``, else those with usual names, else none.

    Several columns are in the order of the model's labels, by their names (or what ``mapping`` makes of them)
    where these are the labels', else as they were given. Raises :class:`DataError` for columns that are not
    there or do not fit the model.
    """
    if wanted == "":
        return ()
    if wanted is not None:
        return _chosen(table, wanted, task, mapping)
    if task.kind in _WITHOUT_LABELS:
        return ()
    if task.kind == "multi-label":
        own = [find(label, table.columns) for label in task.labels]
        named = tuple(name for name in own if name is not None)
        if len(named) == len(own) and not set(named) & set(text_columns):
            return named
    names = (*LABEL_COLUMNS, "score") if task.kind == "regression" else LABEL_COLUMNS
    found = [find(name, table.columns) for name in names]
    return tuple(name for name in found if name is not None and name not in text_columns)[:1]


def unused_labels(table: DataTable, task: Task, text_columns: tuple[str, ...]) -> str:
    """Say which columns look like labels of the model, where none was taken; empty where none does."""
    if task.kind not in _BY_COLUMNS:
        return ""
    others = [name for name in table.columns if name not in text_columns]
    marks = [name for name in others if _holds(table.columns[name], 2, name_finder(()), fewest=1)]
    if task.kind == "multi-label" and marks:
        are = "1 column of 0 and 1 is" if len(marks) == 1 else f"{len(marks)} columns of 0 and 1 are"
        option = f"--label-column {join_names(marks)} takes them in the order of the model's labels"
        if len(marks) != len(task.labels):
            option = f"--label-column takes one for each of the model's labels ({', '.join(task.labels)})"
        return f"no labels: {are} not used ({quoted(marks)}); {option}"
    own = [name for name in marks if name_finder(task.labels)(name) is not None]
    if len(own) == len(task.labels) > _FEWEST:
        return (
            f"no labels: the columns {quoted(own)} are called like the model's labels and not used; "
            f"--label-column {join_names(own)} takes them where each row has one label"
        )
    alike = [
        name
        for name in others
        if _holds(table.columns[name], len(task.labels), name_finder(task.labels), fewest=2)
    ]
    if not alike:
        return ""
    return f"no labels: not used, but maybe labels: {quoted(alike)}; give --label-column {alike[0]}"


def _chosen(table: DataTable, wanted: str, task: Task, mapping: Mapping[str, str] | None) -> tuple[str, ...]:
    names = [wanted] if find(wanted, table.columns) is not None else split_names(wanted)
    columns: list[str] = []
    for name in names:
        column = find(name, table.columns)
        if column is None:
            raise DataError(f"{table.name}: no column {name!r} for the labels; {table.found}")
        columns.append(column)
    if task.kind in _WITHOUT_LABELS:
        raise DataError(
            f"{table.name}: labels in {wanted!r}, but the model gives none; leave --label-column out"
        )
    if len(columns) == 1:
        return tuple(columns)
    if task.kind not in _BY_COLUMNS or len(columns) != len(task.labels) or len(set(columns)) < len(columns):
        expected = f"one for each of {', '.join(task.labels)}" if task.kind in _BY_COLUMNS else "one"
        raise DataError(f"{table.name}: {len(columns)} columns of labels ({wanted}), expected {expected}")
    return _in_order(table, columns, task, mapping or {})


def _in_order(
    table: DataTable, columns: Sequence[str], task: Task, mapping: Mapping[str, str]
) -> tuple[str, ...]:
    """Put columns in the order of the labels that they are called like, where all are; some must stand so."""
    to_id = name_finder(task.labels)
    ids = [to_id(mapping.get(name, name)) for name in columns]
    if sorted(index for index in ids if index is not None) == list(range(len(columns))):
        return tuple(
            name for _, name in sorted(zip(ids, columns, strict=True), key=lambda pair: pair[0] or 0)
        )
    for at, (index, name) in enumerate(zip(ids, columns, strict=True)):
        if index is not None and index != at:
            others = [other for other, found in zip(columns, ids, strict=True) if found is None]
            raise DataError(
                f"{table.name}: column {name!r} is called like the model's label {index}, but stands at {at} "
                "in --label-column (from 0); give the order of the model's labels, or name the others: "
                f"--labels {(others or [name])[0]}=LABEL"
            )
    return tuple(columns)


def _holds(cells: Sequence[Any], count: int, find_name: Find, *, fewest: int) -> bool:
    """Whether every cell is an id below ``count``, a name, or nothing, with ``fewest`` different ones."""
    seen: set[Any] = set()
    for cell in cells:
        if is_missing(cell) or as_int(cell) == NOT_JUDGED:
            continue
        index = find_name(cell)
        if index is None:
            yes = as_yes_or_no(cell) if count == _FEWEST else None
            index = as_int(cell) if yes is None else yes
        if index is None or not 0 <= index < count:
            return False
        seen.add(index)
    return len(seen) >= fewest
