"""Frozen dataclasses to values of JSON and back: the one place where Prensa's own files become objects.

A record is written with all its fields, in the order of the class. What is read is held to the types of the
fields: a field that is missing, or has a value of another type, makes a :class:`ValueError` whose one line
names it, as in ``required field missing @ $.tensors[3].dtype``. Which file it was, and what to do about it,
is for the caller to add.

The types of a record must be imported at run time, not for the type checker alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import cattrs

Record = TypeVar("Record")


def _number_or_word(value: object, _kind: object) -> float | str:
    if isinstance(value, (float, int, str)):
        return value
    raise ValueError(f"expected a number or a text, found {value!r}")


def _whole(value: object, _kind: object) -> int:
    # True is a number to Python.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"expected a whole number, found {value!r}")


def _number(value: object, _kind: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"expected a number, found {value!r}")


def _word(value: object, _kind: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"expected a text, found {value!r}")


def _yes_or_no(value: object, _kind: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, found {value!r}")


_STRICT = cattrs.Converter(forbid_extra_keys=True)
_LENIENT = cattrs.Converter()
# What may be anything stays what it is; what may not is not made to fit, as "false" would be true.
for _converter in (_STRICT, _LENIENT):
    _converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _kind: value)
    _converter.register_structure_hook_func(lambda kind: kind == float | str, _number_or_word)
    _converter.register_structure_hook(int, _whole)
    _converter.register_structure_hook(float, _number)
    _converter.register_structure_hook(str, _word)
    _converter.register_structure_hook(bool, _yes_or_no)


def read_json(path: Path) -> object:
    """Read a file of JSON. Raises :class:`ValueError` with the reason, in one line, if that fails."""
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON ({error})") from error
    return content


def to_plain(record: object) -> object:
    """Return a record as dicts, sequences, numbers and texts that :func:`json.dumps` takes."""
    plain: object = _STRICT.unstructure(record)
    return plain


def from_plain(content: object, kind: type[Record], *, ignore_unknown: bool = False) -> Record:
    """Return the record of class ``kind`` that :func:`to_plain` made ``content`` of.

    Fields that the class does not have are refused unless ``ignore_unknown``. Raises :class:`ValueError`
    with the first thing that is wrong, in one line.
    """
    converter = _STRICT
    if ignore_unknown:
        converter = _LENIENT
    try:
        return converter.structure(content, kind)
    except Exception as error:
        # cattrs gathers errors of every class in a group.
        reasons = cattrs.transform_error(error)
        raise ValueError(reasons[0]) from error
