"""Fields of JSON files that name pieces by their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAMES = re.compile(
    r"(.*_)?token_ids?|(begin_)?suppress_tokens|bad_words_ids|force_words_ids|forced_decoder_ids|sequence_bias"
)


def named(content: Mapping[str, Any]) -> set[int]:
    """Return all numbers of pieces that a config names."""
    return set(_numbers(content))


def renamed(content: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return a config that names the same pieces by their new numbers, and those that are gone no more."""
    return {
        key: _renamed(key, value, new)
        if _NAMES.fullmatch(str(key))
        else renamed(value, new)
        if isinstance(value, Mapping)
        else value
        for key, value in content.items()
    }


def _numbers(content: Mapping[str, Any]) -> Iterator[int]:
    for key, value in content.items():
        if _NAMES.fullmatch(str(key)):
            yield from _inside(key, value)
        elif isinstance(value, Mapping):
            yield from _numbers(value)


def _inside(key: str, value: Any) -> Iterator[int]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        yield value
    elif isinstance(value, list) and value:
        for each in value:
            if key == "forced_decoder_ids":  # place in the answer, and piece
                yield from _inside("", each[1])
            else:  # of sequence_bias: pieces, and a number that is no piece
                yield from _inside("", each[0] if key == "sequence_bias" else each)


def _renamed(key: str, value: Any, new: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        if key == "forced_decoder_ids":
            return [[place, new[piece]] for place, piece in value if piece in new]
        if key == "sequence_bias":
            return [[_renamed("", pieces, new), bias] for pieces, bias in value]
        found = [_renamed("", each, new) for each in value]
        return [each for each in found if each is not None]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return new.get(value)
    return value
