"""The ways in which a column may say labels: by name, by id, by the words of yes and no.

A column is read in one way throughout: where labels have digits for names, "1" must not be a name in one row
and an id in the next. A way that could mean two things is not taken; its problem says which, and what to do.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prensa.checkpoint.kinds import SharedLabel
from prensa.errors import DataError
from prensa.texts.names import folded
from prensa.texts.table import Cell, is_nothing

IGNORED = -100
"""PyTorch's and transformers' mark for what has no label."""

NOT_JUDGED = -1
"""What data sets write where nobody knows the label."""

Find = Callable[[Cell], "int | None"]
"""From what a cell says to the id of a label, None for what it does not know."""

Refuse = Callable[[set[int]], str]
"""From the ids of a column, with ``NOT_JUDGED`` if it holds that, to why they cannot be trusted; empty if
they can."""

_MISSING = {"", "nan", "na", "n/a", "none", "null", "<na>"}
_NO = {"false", "no", "f", "n"}
_YES = {"true", "yes", "t", "y"}
_GENERIC = re.compile(r"label[\s_-]?(\d+)", re.IGNORECASE)
_LEADING = re.compile(r"\d+")
_TWO = 2


@dataclass(frozen=True)
class Way:
    """One way to read a column: ``find`` returns a label's id, None for what the way does not know.

    ``refuse`` says why the ids of a column cannot be trusted although all are known, empty if they can.
    """

    find: Find
    refuse: Refuse = lambda ids: ""


def ways(labels: Sequence[str], classes: Sequence[str], column: str) -> list[Way]:
    """Return the ways to read a column, the plainer first; ``classes`` are the names behind its integers."""
    by_name = name_finder(labels)
    by_number = _number_finder(len(labels))
    refuse = functools.partial(_other_meaning, labels, column)
    of_integers = Way(by_number, refuse)
    # A data set's own names say what its integers mean, but only if the model knows all of them.
    if classes and all(by_name(name) is not None for name in classes):
        of_integers = Way(_class_finder(by_name, classes))
    all_ways = [Way(by_name), of_integers, Way(_generic_finder(by_number))]
    if len(labels) == _TWO:
        all_ways.append(Way(as_yes_or_no, refuse))
    return all_ways


def _number_finder(count: int) -> Find:
    """Return what finds the ids below ``count``."""

    def find(value: Cell) -> int | None:
        index = as_int(value)
        if index is None or not 0 <= index < count:
            return None
        return index

    return find


def _class_finder(by_name: Find, classes: Sequence[str]) -> Find:
    """Return what finds a label by the name behind an integer."""
    find_index = _number_finder(len(classes))

    def find(value: Cell) -> int | None:
        index = find_index(value)
        if index is None:
            return None
        return by_name(classes[index])

    return find


def _generic_finder(by_number: Find) -> Find:
    """Return what finds ``LABEL_1``, as transformers calls labels that nobody named."""

    def find(value: Cell) -> int | None:
        if not isinstance(value, str):
            return None
        match = _GENERIC.fullmatch(value.strip())
        if match is None:
            return None
        return by_number(match[1])

    return find


def name_finder(labels: Sequence[str]) -> Find:
    """Return what finds a label by its name: as it is, else whatever its case and separators.

    A name that stands for two labels then, or a number, is found as it is or not at all. Raises
    :class:`DataError` for a name that ``config.json`` gives to several outputs: it does not say which.
    """
    shared: set[str] = set()
    exact: dict[str, int] = {}
    alike: dict[str, set[int]] = {}
    for index, name in enumerate(labels):
        if isinstance(name, SharedLabel):
            shared.add(folded(name.shared))
        # Not overwritten: of equal names the first is meant.
        exact.setdefault(name, index)
        for key in _keys(name):
            alike.setdefault(key, set()).add(index)

    def find(value: Cell) -> int | None:
        if not isinstance(value, str):
            return None
        word = value.strip()
        if folded(value) in shared:
            raise DataError(
                f"the label {word!r} is in config.json the name of several outputs; use their "
                "numbers, or give each its own name in id2label"
            )
        if word in exact:
            return exact[word]
        indices: set[int] = set()
        for key in _keys(value):
            indices |= alike.get(key, set())
        if len(indices) != 1:
            return None
        return indices.pop()

    return find


def mapped(way: Way, mapping: Mapping[str, str], labels: Sequence[str], classes: Sequence[str]) -> Way:
    """Follow ``mapping`` first, from what the data says to labels of the model or their ids."""
    targets: dict[str, int] = {}
    for name, label in mapping.items():
        targets[name] = _target(label, labels, name)

    def find(value: Cell) -> int | None:
        key = mapping_key(value, mapping, classes)
        if key is None:
            return way.find(value)
        return targets[key]

    # Nothing is refused as ambiguous: the user has said what is meant.
    return Way(find)


def mapping_key(value: Cell, mapping: Mapping[str, str], classes: Sequence[str]) -> str | None:
    """Return the name under which ``mapping`` has a value: as it is written, or as a number, or its class."""
    names = [str(value).strip()]
    index = as_int(value)
    if index is not None:
        names.append(str(index))
        if 0 <= index < len(classes):
            names.append(classes[index])
    for name in names:
        if name and name in mapping:
            return name
    return None


def is_missing(value: Cell) -> bool:
    """Whether a cell has no label, in one of the ways in which tables say so."""
    if isinstance(value, str):
        return value.strip().casefold() in _MISSING
    return is_nothing(value)


def as_yes_or_no(value: Cell) -> int | None:
    """Return 1 for true or yes, 0 for false or no, None for anything else."""
    word = str(value).strip().casefold()
    if word in _NO:
        return 0
    if word in _YES:
        return 1
    return None


def as_number(value: Cell) -> float:
    """Return the number that a cell is or says, NaN if it is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def as_int(value: Cell) -> int | None:
    """Return the whole number that a cell is or says, None if it is none."""
    number = as_number(value)
    if not number.is_integer():
        return None
    return int(number)


def _keys(name: str) -> set[str]:
    """``"Non-Toxic"`` is ``"non toxic"`` and ``"nontoxic"``; with digits, separators make a difference."""
    if not math.isnan(as_number(name)):
        return set()
    key = folded(name)
    # "1-2" is not "12".
    if any(map(str.isdigit, key)):
        return {key}
    return {key, key.replace(" ", "")}


def _target(label: str, labels: Sequence[str], name: str) -> int:
    """Return the id that a mapping leads to; an empty name leaves rows out."""
    if not label:
        return IGNORED
    index = name_finder(labels)(label)
    if index is not None:
        return index
    number = as_int(label)
    if number is not None and 0 <= number < len(labels):
        return number
    names = [f"{at} {other!r}" for at, other in enumerate(labels)]
    shown = ", ".join(names)
    raise DataError(f"`labels` {name}={label}: the model has no label {label!r}; it has {shown}")


def _other_meaning(labels: Sequence[str], column: str, ids: set[int]) -> str:
    """Say what else than ids the numbers of a column may be, empty if they can be nothing else."""
    # Where both the first and the last label come as well, -1 is no label before the first.
    ends = {0, len(labels) - 1}
    if NOT_JUDGED in ids and not ends <= ids:
        return (
            "holds -1, which may be a label or say that there is none; give `labels` -1=LABEL or, to leave "
            "these rows out, -1="
        )
    numbers = _leading_numbers(labels)
    counts_from_0 = numbers == list(range(len(labels)))
    are_leading = ids - {NOT_JUDGED} <= set(numbers)
    if numbers and not counts_from_0 and are_leading:
        pairs: list[str] = []
        for number, name in zip(numbers, labels, strict=True):
            pairs.append(f"{number}={name}")
        return f"holds numbers, which may be ids or the numbers in the names; give `labels` {','.join(pairs)}"
    # Of a column "toxic" with the labels toxic and fine, 1 is yes, and no id.
    named = name_finder(labels)(column)
    if len(labels) == _TWO and named == 0:
        return (
            f"is called like the model's label 0, {labels[0]!r}: 1 may mean that or label 1, {labels[1]!r}; "
            f"give `labels` 1={labels[0]},0={labels[1]} or 0={labels[0]},1={labels[1]}"
        )
    return ""


def _leading_numbers(labels: Sequence[str]) -> list[int]:
    """Return the numbers that labels begin with ("1 star", or "1", is label 0), empty if one has none."""
    numbers: list[int] = []
    for name in labels:
        match = _LEADING.match(name)
        if match is None:
            return []
        numbers.append(int(match[0]))
    return numbers
