"""What callers give a model to answer: a text, two that are read together, a question and its context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from prensa.errors import DataError

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


def read_given(value: Any, index: int, wanted: Wanted = "texts") -> Given:
    """Read one input of many. Raises :class:`DataError` that names its ``index`` for anything else."""
    given = _parse(value, wanted)
    fits = given is not None and (wanted == "texts" or (given.pair is None) == (wanted == "words"))
    if given is None or not fits:
        raise DataError(f"predict(): input {index}: expected {_EXPECTED[wanted]}, found {_described(value)}")
    for text in (given.text, given.pair or ""):
        if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DataError(f"predict(): input {index} holds half of a surrogate pair")
    return given


def _parse(value: Any, wanted: Wanted) -> Given | None:
    if isinstance(value, str):
        return Given(value)
    if isinstance(value, dict):
        return _parse_named(value, wanted)
    if isinstance(value, (tuple, list)) and len(value) == _PAIR and all(isinstance(x, str) for x in value):
        return Given(*value)
    return None


def _parse_named(value: dict[Any, Any], wanted: Wanted) -> Given | None:
    names = ("question", "context") if wanted == "questions" else ("text", "text_pair")
    first, second = (value.get(name) for name in names)
    if not set(value) <= set(names) or not isinstance(first, str) or not isinstance(second, str | None):
        return None
    return Given(first, second)


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        kinds = sorted({type(each).__name__ for each in value})
        return f"a {type(value).__name__} of {len(value)} ({', '.join(kinds) or 'empty'})"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(repr, value)) or 'nothing'}"
    return "None" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
