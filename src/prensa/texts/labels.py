"""Labels as people write them, turned into the ids that the model knows them by."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.task import SharedLabel, Task
from prensa.errors import DataError
from prensa.texts.readers import DataTable

Labels = list[NDArray[Any]]
"""For each text: an id ``[]``, zeros and ones ``[labels]``, a number ``[]``, or an id for each word
``[words]``, where ``IGNORED`` marks words without one."""

IGNORED = -100  # PyTorch's and transformers' mark for what has no label

_Find = Callable[[Any], int | None]
_SHOWN = 5  # unknown labels in a message


def read_labels(table: DataTable, columns: tuple[str, ...], task: Task) -> Labels:
    """Read the labels of every row: all ids, or all names of the model's config whatever their case.

    Names behind a data set's integers are followed where the model knows them all. Several labels are
    a list, or separated by commas (words' labels: by spaces); a list of zeros and ones with one number for
    each label of the model marks those that apply.
    Raises :class:`DataError` for labels that are missing or that the model does not know.
    """
    if len(columns) > 1:  # one for each label
        marks = [_numbers(table, name, only={0, 1}) for name in columns]
        return [np.array(row, dtype=np.int64) for row in zip(*marks, strict=True)]
    (column,) = columns
    if task.kind == "regression":
        return [np.array(number) for number in _numbers(table, column)]
    if task.kind != "multi-label":  # where there may be none
        _refuse_empty(table, column)
    parse = {"classes": _one, "multi-label": _marked, "tokens": _each}[task.kind]
    unknown: Counter[str] = Counter()
    for find in _finders(task, table.classes.get(column, ()), f"{table.name}: column {column!r}"):
        missed: Counter[str] = Counter()
        labels = [parse(value, _noting(find, missed), len(task.labels)) for value in table.columns[column]]
        if not missed:
            return labels
        if not unknown or len(missed) < len(unknown):
            unknown = missed
    if unknown:
        shown = ", ".join(f"{name!r} ({count}×)" for name, count in unknown.most_common(_SHOWN))
        more = " …" if len(unknown) > _SHOWN else ""
        known = ", ".join(f"{index} {name!r}" for index, name in enumerate(task.labels))
        raise DataError(
            f"{table.name}: column {column!r} has labels that the model does not know: {shown}{more}; "
            f"it knows {known}"
        )
    return []


def _noting(find: _Find, missed: Counter[str]) -> Callable[[Any], int]:
    def to_id(value: Any) -> int:
        found = find(value)
        if found is None:
            missed[str(value)] += 1
        return IGNORED if found is None else found

    return to_id


def _refuse_empty(table: DataTable, column: str) -> None:
    for row, value in enumerate(table.columns[column], 1):
        if value is None or (isinstance(value, str) and not value.strip()):
            raise DataError(f"{table.name}: row {row} has no label in column {column!r}")


def _numbers(table: DataTable, column: str, only: Collection[float] = ()) -> list[float]:
    _refuse_empty(table, column)
    numbers = [_as_number(value) for value in table.columns[column]]
    for row, number in enumerate(numbers, 1):
        if not math.isfinite(number) or (only and number not in only):
            raise DataError(
                f"{table.name}: row {row}, column {column!r}: expected {'0 or 1' if only else 'a number'}, "
                f"found {table.columns[column][row - 1]!r}"
            )
    return numbers


def _finders(task: Task, classes: Sequence[str], where: str) -> list[_Find]:
    """Return the ways in which a column may mean ids: by name, by the names behind its integers, by number.

    A column is read in one way throughout: where labels have digits for names, "1" must not be a name in one
    row and an id in the next. Of labels that differ in case alone the one that is written the same counts. A
    name that ``config.json`` gives to several outputs is refused: it does not tell which.
    """
    shared = {label.shared.casefold() for label in task.labels if isinstance(label, SharedLabel)}
    exact = {name: index for index, name in enumerate(task.labels)}
    names = {name.casefold(): index for index, name in reversed(list(enumerate(task.labels)))}
    ignored = {IGNORED} if task.kind == "tokens" else set()

    def by_name(value: Any) -> int | None:
        name = value.strip() if isinstance(value, str) else ""
        if name.casefold() in shared:
            raise DataError(
                f"{where} has the label {name!r}, which config.json gives to several outputs; use their "
                "numbers, or give each its own name in id2label"
            )
        if isinstance(value, str) and name.casefold() in names:
            return exact.get(name, names[name.casefold()])
        return IGNORED if _as_int(value) in ignored else None

    def by_class(value: Any) -> int | None:
        index = _as_int(value)
        if index in ignored:
            return index
        return names[classes[index].casefold()] if index is not None and 0 <= index < len(classes) else None

    def by_number(value: Any) -> int | None:
        index = _as_int(value)
        known = index in ignored or (index is not None and 0 <= index < len(task.labels))
        return index if known else None

    follows_classes = bool(classes) and all(name.casefold() in names for name in classes)
    return [by_name, by_class if follows_classes else by_number]


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _as_int(value: Any) -> int | None:
    number = _as_number(value)
    return int(number) if number.is_integer() else None


def _one(value: Any, to_id: Callable[[Any], int], count: int) -> NDArray[Any]:  # noqa: ARG001
    return np.array(to_id(value))


def _each(value: Any, to_id: Callable[[Any], int], count: int) -> NDArray[Any]:  # noqa: ARG001
    words = _listed(value, None)
    return np.array([to_id(word) for word in words], dtype=np.int64)


def _marked(value: Any, to_id: Callable[[Any], int], count: int) -> NDArray[Any]:
    cells = _listed(value, ",")
    if len(cells) == count and all(_as_int(cell) in {0, 1} for cell in cells):
        return np.array([_as_int(cell) for cell in cells])
    marks = np.zeros(count, dtype=np.int64)
    marks[[index for index in map(to_id, cells) if index != IGNORED]] = 1
    return marks


def _listed(value: Any, separator: str | None) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, str):
        return list(value) if isinstance(value, (list, tuple)) else [value]
    if value.lstrip().startswith("["):
        try:
            return list(json.loads(value))
        except ValueError:
            pass
    return [cell for cell in value.split(separator) if cell.strip()]
