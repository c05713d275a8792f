"""A column of labels, read in one way: the cells' labels, and what was seen on the way."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence

import numpy as np

from prensa.checkpoint.kinds import Task
from prensa.texts.cells import as_list
from prensa.texts.ids import IGNORED, NOT_JUDGED, Way, as_int, is_missing
from prensa.texts.labelled import Label, without_any, worded
from prensa.texts.names import quoted
from prensa.texts.table import Cell

# Labels with their counts in an account.
_COUNTED = 8
# What stands between several labels in a cell.
_SEPARATORS = (",", ";", "|")

ToId = Callable[[Cell], int]

Parse = Callable[[Cell, ToId], Label]
"""From a cell, and what leads from a word to an id, to a text's label."""


class Reading:
    """What one way of reading makes of a column: the rows one by one, and what was seen meanwhile."""

    def __init__(self, way: Way, task: Task) -> None:
        self.way = way
        self.task = task
        self.unknown: Counter[str] = Counter()
        self.seen: Counter[tuple[str, int]] = Counter()
        self.has_not_judged = False
        # Rows that have the cell at hand: it is read once for all of them.
        self._weight = 1

    @property
    def ids(self) -> set[int]:
        """The labels that came."""
        return {index for _, index in self.seen}

    def rows(self, cells: Sequence[Cell], parse: Parse, skipped: Collection[int]) -> list[Label | None]:
        """Read every cell, those that are alike once: there are few different labels, and many rows."""
        keys: list[Hashable] = []
        for row, cell in enumerate(cells):
            keys.append(_key(row, cell, skipped))
        counts = Counter(keys)
        labels: dict[Hashable, Label | None] = {None: None}
        for key, cell in zip(keys, cells, strict=True):
            if key not in labels:
                self._weight = counts[key]
                labels[key] = self._label(cell, parse)
        return list(map(labels.__getitem__, keys))

    def refused(self) -> str:
        """Say why the ids cannot be trusted although all are known; empty if they can."""
        if self.unknown:
            return ""
        ids = self.ids
        if self.has_not_judged:
            ids.add(NOT_JUDGED)
        return self.way.refuse(ids)

    def account(self, rows: Sequence[Label | None]) -> str:
        """Say which labels came how often, and as what if the data says it in other words."""
        labels = self.task.labels
        seen = self._counts(rows)
        accounts: list[str] = []
        for (word, index), count in seen.most_common(_COUNTED):
            accounts.append(worded(word, labels[index], count))
        if len(seen) > _COUNTED:
            accounts.append(f"{len(seen) - _COUNTED} more")
        # A label that never comes may be a slip of the pen: what a model does with it is not measured.
        came = {index for _, index in seen}
        absent: list[str] = []
        for index, name in enumerate(labels):
            if index not in came:
                absent.append(name)
        if absent and len(labels) <= _COUNTED:
            accounts.append(f"none {quoted(absent)}")
        if self.task.kind == "multi-label":
            accounts.append(without_any(rows))
        return ", ".join(accounts)

    def _counts(self, rows: Sequence[Label | None]) -> Counter[tuple[str, int]]:
        """Return how often each label came, by the data's word for it.

        Lists of zeros and ones say no words, and nothing was seen of them: then what they mark is counted.
        """
        if self.task.kind != "multi-label":
            return self.seen
        labels = self.task.labels
        totals = np.zeros(len(labels), dtype=np.int64)
        for row in rows:
            if row is not None:
                totals += row.astype(np.int64)
        if totals.sum() == self.seen.total():
            return self.seen
        counts: Counter[tuple[str, int]] = Counter()
        for index, total in enumerate(totals.tolist()):
            if total:
                counts[labels[index], index] = total
        return counts

    def _label(self, cell: Cell, parse: Parse) -> Label | None:
        """Read a cell; None if it has no label."""
        # Of several labels, an empty cell says that none applies.
        is_empty = cell is None or not str(cell).strip()
        says_none = is_empty and self.task.kind == "multi-label"
        # A model may have a label that is called "none".
        if is_missing(cell) and self.way.find(cell) is None and not says_none:
            return None
        if self.task.kind != "tokens" and self._is_not_judged(cell):
            self.has_not_judged = True
            return None
        label = parse(cell, self._to_id)
        if self.task.kind == "classes" and int(label) == IGNORED:
            return None
        return label

    def _is_not_judged(self, cell: Cell) -> bool:
        """Whether a cell, or all of a list, is -1, and that is no label."""
        values: Sequence[Cell] = [cell]
        if isinstance(cell, (list, tuple)) and cell:
            values = cell
        for value in values:
            if as_int(value) != NOT_JUDGED:
                return False
            # The model may have a label that is called -1.
            if self.way.find(value) is not None:
                return False
        return True

    def _to_id(self, value: Cell) -> int:
        index = self.way.find(value)
        number = as_int(value)
        if index is None:
            # Data sets of words mark those that are not to be judged by the number itself.
            if self.task.kind != "tokens" or number != IGNORED:
                self.unknown[str(value)] += self._weight
            return IGNORED
        if index != IGNORED:
            # 1.0, "1" and 1 are one label to the reader of an account.
            word = str(value).strip()
            if number is not None:
                word = str(number)
            self.seen[word, index] += self._weight
        return index


def numbers_of(cell: Cell) -> list[int]:
    """Return the whole numbers that a cell lists in one of the usual ways, none if it lists anything else."""
    for separator in _SEPARATORS:
        numbers = [as_int(_stripped(word)) for word in _listed(cell, separator)]
        whole = [number for number in numbers if number is not None]
        if whole and len(whole) == len(numbers):
            return whole
    return []


def words_of(cell: Cell) -> Iterator[Cell]:
    """Give all that may be labels in a cell: itself, and what it lists in one of the usual ways."""
    yield cell
    yield from _listed(cell, None)
    yield from _listed(cell, ",")


def _key(row: int, cell: Cell, skipped: Collection[int]) -> Hashable:
    """Return what is alike for cells that say the same, None for rows to skip. True is not 1 here."""
    if row in skipped:
        return None
    if cell is None or isinstance(cell, (str, int, float)):
        return type(cell), cell
    # Lists are no keys of a dict: each is read by itself.
    return row


def parses_of(task: Task, *, has_marks: bool = True) -> list[Parse]:
    """Return the ways to find labels in a cell, the more usual first.

    ``has_marks`` says that a list of zeros and ones may mark the labels that apply.
    """
    if task.kind == "classes":
        return [_one]
    if task.kind == "tokens":
        return [_each]
    count = len(task.labels)
    parses: list[Parse] = []
    for separator in _SEPARATORS:
        parse = functools.partial(_marked, count=count, separator=separator, may_mark=has_marks)
        parses.append(parse)
    return parses


def _one(value: Cell, to_id: ToId) -> Label:
    return np.array(to_id(value))


def _each(value: Cell, to_id: ToId) -> Label:
    ids = list(map(to_id, _listed(value, None)))
    return np.array(ids, dtype=np.int64)


def _marked(value: Cell, to_id: ToId, *, count: int, separator: str, may_mark: bool) -> Label:
    """Read several labels of one text as zeros and ones, which they may be already."""
    words = list(map(_stripped, _listed(value, separator)))
    numbers = list(map(as_int, words))
    if may_mark and len(words) == count and set(numbers) <= {0, 1}:
        return np.array(numbers)
    marks = np.zeros(count, dtype=np.int64)
    for index in map(to_id, words):
        if index != IGNORED:
            marks[index] = 1
    return marks


def _stripped(word: Cell) -> Cell:
    if isinstance(word, str):
        return word.strip()
    return word


def _listed(value: Cell, separator: str | None) -> list[Cell]:
    """Return what a cell lists: its list, or its words between separators (None: spaces)."""
    if value is None:
        return []
    items = as_list(value)
    if items is not None:
        return items
    if not isinstance(value, str):
        return [value]
    return [word for word in value.split(separator) if word.strip()]
