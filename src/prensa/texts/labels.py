"""Labels as people write them, turned into the ids that the model knows them by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.ids import IGNORED, as_number, is_missing, mapped, mapping_key, ways
from prensa.texts.labelled import SHARES, Label, Labelled, Labels
from prensa.texts.marks import read_marks, refuse_marks_among_ids, refuse_marks_of_one_label
from prensa.texts.names import quoted
from prensa.texts.reading import Reading, parses_of, words_of
from prensa.texts.table import DataTable

__all__ = ["IGNORED", "Labelled", "Labels", "read_labels"]

# Unknown labels in a message.
_SHOWN = 5


def read_labels(
    table: DataTable,
    columns: tuple[str, ...],
    task: Task,
    mapping: Mapping[str, str] | None = None,
    skipped: Collection[int] = (),
) -> Labelled:
    """Read the labels of every row: all ids, or all names of the model's config whatever their case.

    Names behind a data set's integers are followed if the model knows them all. Several labels are
    a list, or separated by commas (words' labels: by spaces); a list of zeros and ones with one number for
    each label of the model marks those that apply. Of two labels, false and no are the first. ``mapping``
    leads from the data's names to the model's; an empty name leaves rows out. Rows with an empty cell, or -1
    if that can be no label, have no labels, and nor have those in ``skipped``, which are not counted.
    Raises :class:`DataError` for labels that the model does not know, and for those that may mean two things.
    """
    if len(columns) > 1:
        return read_marks(table, columns, task, skipped)
    (column,) = columns
    if task.kind == "regression":
        return _read_numbers(table, column, mapping, skipped)
    if task.kind == "multi-label":
        refuse_marks_of_one_label(table, column, task, mapping)
        refuse_marks_among_ids(table, column, task, mapping)
    classes = table.classes.get(column, ())
    all_ways = ways(task.labels, classes, column)
    if mapping is not None:
        _refuse_idle(table, column, mapping)
        all_ways = [mapped(way, mapping, task.labels, classes) for way in all_ways]
    # The first way that knows all labels and has nothing against them is taken. Else the message is about
    # what the first doubtful way doubts, or about the way that knows the most labels.
    problem = ""
    unknown: Counter[str] = Counter()
    for way in all_ways:
        # What a mapping leads from is not marks.
        for parse in parses_of(task, has_marks=mapping is None):
            reading = Reading(way, task)
            rows = reading.rows(table.columns[column], parse, skipped)
            refused = reading.refused()
            if not reading.unknown and not refused:
                return Labelled(rows, reading.account(rows))
            problem = problem or refused
            if not unknown or 0 < len(reading.unknown) < len(unknown):
                unknown = reading.unknown
    if problem:
        raise DataError(f"{table.name}: column {column!r} {problem}")
    raise DataError(_unknown(table.name, column, unknown, task))


def _read_numbers(
    table: DataTable, column: str, mapping: Mapping[str, str] | None, skipped: Collection[int]
) -> Labelled:
    if mapping is not None:
        raise DataError(f"{table.name}: `labels`, but the model gives a number, which has no name")
    rows: list[Label | None] = []
    numbers: list[float] = []
    for row, cell in enumerate(table.columns[column]):
        if row in skipped or is_missing(cell):
            rows.append(None)
            continue
        # Infinity is a number to Python, and nothing that a model can be measured by.
        number = as_number(cell)
        if not math.isfinite(number):
            raise DataError(
                f"{table.name}: row {row + 1}, column {column!r}: expected a number, found {cell!r}"
            )
        numbers.append(number)
        rows.append(np.array(number))
    account = ""
    if numbers:
        smallest, largest = min(numbers), max(numbers)
        account = f"{smallest:g} to {largest:g}"
    return Labelled(rows, account)


def _refuse_idle(table: DataTable, column: str, mapping: Mapping[str, str]) -> None:
    """Refuse a mapping none of whose names comes: a slip of the pen."""
    classes = table.classes.get(column, ())
    for cell in table.columns[column]:
        for word in words_of(cell):
            if mapping_key(word, mapping, classes) is not None:
                return
    raise DataError(
        f"{table.name}: `labels` names {quoted(list(mapping))}, and none of them is in column {column!r}"
    )


def _unknown(name: str, column: str, unknown: Counter[str], task: Task) -> str:
    """Word which labels the model does not know, and what may be meant by them."""
    numbers = list(map(as_number, unknown))
    if _are_shares(numbers):
        return f"{name}: column {column!r} {SHARES}"
    words: list[str] = []
    for word, count in unknown.most_common(_SHOWN):
        words.append(f"{word!r} ({count}×)")
    shown = ", ".join(words)
    if len(unknown) > _SHOWN:
        shown += " …"
    labels: list[str] = []
    counted_from_1: list[str] = []
    for index, label in enumerate(task.labels):
        labels.append(f"{index} {label!r}")
        counted_from_1.append(f"{index + 1}={label}")
    # Of ids, only the one behind the last is not known: the data's first label is 1.
    if numbers == [len(task.labels)]:
        hint = f"if the data counts labels from 1, give `labels` {','.join(counted_from_1)}"
    else:
        examples = [f"{word}=LABEL" for word, _ in unknown.most_common(2)]
        hint = f"say which is which: `labels` {','.join(examples)}"
    return (
        f"{name}: column {column!r} has labels that the model does not know: {shown}; "
        f"it knows {', '.join(labels)}; {hint}"
    )


def _are_shares(numbers: list[float]) -> bool:
    """Whether all lie from 0 to 1, and some between."""
    has_fraction = False
    for number in numbers:
        if not 0 <= number <= 1:
            return False
        if not number.is_integer():
            has_fraction = True
    return has_fraction
