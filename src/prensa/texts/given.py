"""What callers give a model to answer: a text, two that are read together, a question and its context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prensa.errors import DataError
from prensa.texts.characters import has_half_character

Wanted = Literal["texts", "words", "questions"]
"""What a model reads: a text or a pair, one text of words, a question with a context."""

_PAIR = 2
_EXPECTED: dict[Wanted, str] = {
    "texts": 'a text, a pair (text, text) or {"text": …, "text_pair": …}',
    "words": "a text",
    "questions": '{"question": …, "context": …} or a pair (question, context)',
}


@dataclass(frozen=True)
class Given:
    """A text and, where two are read together, the other one."""

    text: str
    pair: str | None = None


def read_given(value: object, index: int, wanted: Wanted = "texts") -> Given:
    """Read one input of many. Raises :class:`DataError` that names its ``index`` for anything else."""
    given = _parse(value, wanted)
    if given is None or not _fits(given, wanted):
        raise DataError(f"predict(): input {index}: expected {_EXPECTED[wanted]}, found {_described(value)}")
    for text in (given.text, given.pair or ""):
        if has_half_character(text):
            raise DataError(f"predict(): input {index} holds half of a surrogate pair")
    return given


def _fits(given: Given, wanted: Wanted) -> bool:
    """Whether as many texts were given as the model reads; where pairs are possible, one will do."""
    if wanted == "texts":
        return True
    reads_one = wanted == "words"
    return reads_one == (given.pair is None)


def _parse(value: object, wanted: Wanted) -> Given | None:
    if isinstance(value, str):
        return Given(value)
    if isinstance(value, dict):
        return _parse_named(value, wanted)
    if not isinstance(value, (tuple, list)):
        return None
    if len(value) != _PAIR:
        return None
    first, second = value
    if isinstance(first, str) and isinstance(second, str):
        return Given(first, second)
    return None


def _parse_named(value: Mapping[object, object], wanted: Wanted) -> Given | None:
    names = ("text", "text_pair")
    if wanted == "questions":
        names = ("question", "context")
    # A name that is not read is more likely a slip of the pen than meant to be ignored.
    if not set(value) <= set(names):
        return None
    first, second = map(value.get, names)
    if not isinstance(first, str):
        return None
    if second is not None and not isinstance(second, str):
        return None
    return Given(first, second)


def _described(value: object) -> str:
    if isinstance(value, (tuple, list)):
        kinds = {type(item).__name__ for item in value}
        described = ", ".join(sorted(kinds)) or "empty"
        kind = type(value).__name__
        return f"a {kind} of {len(value)} ({described})"
    if isinstance(value, dict):
        names = ", ".join(map(repr, value))
        return f"a dict with {names or 'nothing'}"
    if value is None:
        return "None"
    start = str(value)[:40]
    return f"{type(value).__name__} {start!r}"
