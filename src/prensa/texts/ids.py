"""The ways in which a column may say labels: by name, by id, by the words of yes and no.

A column is read in one way throughout: where labels have digits for names, "1" must not be a name in one row
and an id in the next. A way that could mean two things is not taken; its problem says which, and what to do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prensa.checkpoint.task import SharedLabel
from prensa.errors import DataError
from prensa.texts.names import folded

IGNORED = -100  # PyTorch's and transformers' mark for what has no label
NOT_JUDGED = -1  # what data sets write where nobody knows the label

Find = Callable[[Any], "int | None"]

_MISSING = {"", "nan", "na", "n/a", "none", "null", "<na>"}
_NO_AND_YES = ({"false", "no", "f", "n"}, {"true", "yes", "t", "y"})
_GENERIC = re.compile(r"label[\s_-]?(\d+)", re.IGNORECASE)
_LEADING = re.compile(r"\d+")


@dataclass(frozen=True)
class Way:
    """One way to read a column: ``find`` returns a label's id, None for what the way does not know.

    ``refuse`` says why the ids of a column cannot be trusted although all are known, empty where they can.
    """

    find: Find
    refuse: Callable[[Collection[int], bool], str] = lambda found, has_not_judged: ""


def ways(labels: Sequence[str], classes: Sequence[str], column: str) -> list[Way]:
    """Return the ways to read a column, the plainer first; ``classes`` are the names behind its integers."""
    by_name = name_finder(labels)

    def by_class(value: Any) -> int | None:
        index = as_int(value)
        is_class = index is not None and 0 <= index < len(classes)
        return by_name(classes[index]) if is_class and index is not None else None

    def by_number(value: Any) -> int | None:
        index = as_int(value)
        return index if index is not None and 0 <= index < len(labels) else None

    def by_generic_name(value: Any) -> int | None:
        match = _GENERIC.fullmatch(value.strip()) if isinstance(value, str) else None
        return by_number(match[1]) if match else None

    def refuse(found: Collection[int], has_not_judged: bool) -> str:  # noqa: FBT001
        return _other_meaning(labels, column, found, has_not_judged=has_not_judged)

    follows_classes = bool(classes) and all(by_name(name) is not None for name in classes)
    found = [Way(by_name), Way(by_class) if follows_classes else Way(by_number, refuse), Way(by_generic_name)]
    if len(labels) == 2:  # noqa: PLR2004
        found.append(Way(as_yes_or_no, refuse))
    return found


def name_finder(labels: Sequence[str]) -> Find:
    """Return what finds a label by its name: as it is, else whatever its case and separators.

    A name that stands for two labels then, or a number, is found as it is or not at all. Raises
    :class:`DataError` for a name that ``config.json`` gives to several outputs: it does not tell which.
    """
    shared = {folded(label.shared) for label in labels if isinstance(label, SharedLabel)}
    exact = {name: index for index, name in reversed(list(enumerate(labels)))}
    alike: dict[str, set[int]] = {}
    for index, name in enumerate(labels):
        for key in _keys(name):
            alike.setdefault(key, set()).add(index)

    def find(value: Any) -> int | None:
        if not isinstance(value, str):
            return None
        if folded(value) in shared:
            raise DataError(
                f"the label {value.strip()!r} is in config.json the name of several outputs; use their "
                "numbers, or give each its own name in id2label"
            )
        if value.strip() in exact:
            return exact[value.strip()]
        found: set[int] = set().union(*(alike.get(key, set()) for key in _keys(value)))
        return found.pop() if len(found) == 1 else None

    return find


def mapped(way: Way, mapping: Mapping[str, str], labels: Sequence[str], classes: Sequence[str]) -> Way:
    """Follow ``mapping`` first, from what the data says to labels of the model or their ids."""
    targets = {name: _target(label, labels, name) for name, label in mapping.items()}

    def find(value: Any) -> int | None:
        key = mapping_key(value, mapping, classes)
        return way.find(value) if key is None else targets[key]

    return Way(find, lambda found, has_not_judged: "")  # the user has said what is meant


def mapping_key(value: Any, mapping: Mapping[str, str], classes: Sequence[str]) -> str | None:
    """Return the name under which ``mapping`` has a value: as it is written, or as a number, or its class."""
    index = as_int(value)
    names = [str(value).strip(), "" if index is None else str(index)]
    if index is not None and 0 <= index < len(classes):
        names.append(classes[index])
    return next((name for name in names if name and name in mapping), None)


def is_missing(value: Any) -> bool:
    """Whether a cell says nothing, in one of the ways in which tables do."""
    if isinstance(value, str):
        return value.strip().casefold() in _MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_yes_or_no(value: Any) -> int | None:
    """Return 1 for true or yes, 0 for false or no, None for anything else."""
    word = str(value).strip().casefold()
    return next((index for index, words in enumerate(_NO_AND_YES) if word in words), None)


def as_number(value: Any) -> float:
    """Return the number that a cell is or says, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def as_int(value: Any) -> int | None:
    """Return the whole number that a cell is or says, None where it is none."""
    number = as_number(value)
    return int(number) if number.is_integer() else None


def _keys(name: str) -> set[str]:
    """``"Non-Toxic"`` is ``"non toxic"`` and ``"nontoxic"``; with digits, separators make a difference."""
    key = folded(name)
    if not math.isnan(as_number(name)):
        return set()
    return {key} if any(letter.isdigit() for letter in key) else {key, key.replace(" ", "")}


def _target(label: str, labels: Sequence[str], name: str) -> int:
    """Return the id that a mapping leads to; an empty name leaves rows out."""
    if not label:
        return IGNORED
    index = name_finder(labels)(label)
    number = as_int(label)
    if index is None and number is not None and 0 <= number < len(labels):
        index = number
    if index is None:
        known = ", ".join(f"{at} {each!r}" for at, each in enumerate(labels))
        raise DataError(f"--labels {name}={label}: the model has no label {label!r}; it has {known}")
    return index


def _other_meaning(
    labels: Sequence[str], column: str, found: Collection[int], *, has_not_judged: bool
) -> str:
    """Say what else than ids the numbers of a column may be, empty where they can be nothing else."""
    if has_not_judged and not {0, len(labels) - 1} <= set(found):
        return (
            "holds -1, which may be a label or say that there is none; give --labels -1=LABEL or, to leave "
            "these rows out, --labels -1="
        )
    leading = [_LEADING.match(name) for name in labels]  # "1 star", or "1", is label 0
    numbers = [int(each[0]) for each in leading if each]
    if len(numbers) == len(labels) and numbers != list(range(len(labels))) and set(found) <= set(numbers):
        pairs = ",".join(f"{number}={name}" for number, name in zip(numbers, labels, strict=True))
        return f"holds numbers, which may be ids or the numbers in the names; give --labels {pairs}"
    named = name_finder(labels)(column)
    if len(labels) == 2 and named == 0:  # noqa: PLR2004
        return (
            f"is called like the model's label 0, {labels[0]!r}: 1 may mean that or label 1, {labels[1]!r}; "
            f"give --labels 1={labels[0]},0={labels[1]} or --labels 0={labels[0]},1={labels[1]}"
        )
    return ""
