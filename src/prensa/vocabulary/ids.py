"""Fields of JSON files that name tokens by their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeGuard

# What configs call the numbers of tokens, in models and for generation.
_NAMES = re.compile(
    r"(.*_)?token_ids?|(begin_)?suppress_tokens|bad_words_ids|force_words_ids|forced_decoder_ids|sequence_bias"
)


def named(content: Mapping[str, object]) -> set[int]:
    """Return all numbers of tokens that a config names."""
    return set(_numbers(content))


def renamed(content: Mapping[str, object], new: Mapping[int, int]) -> dict[str, object]:
    """Return a config that names the same tokens by their new numbers, and those that are gone no more."""
    changed: dict[str, object] = {}
    for key, value in content.items():
        if _NAMES.fullmatch(str(key)):
            changed[key] = _renamed(key, value, new)
        elif isinstance(value, Mapping):
            changed[key] = renamed(value, new)
        else:
            changed[key] = value
    return changed


def _numbers(content: Mapping[str, object]) -> Iterator[int]:
    for key, value in content.items():
        if _NAMES.fullmatch(str(key)):
            yield from _inside(key, value)
        elif isinstance(value, Mapping):
            yield from _numbers(value)


def _inside(key: str, value: object) -> Iterator[int]:
    if _is_number(value):
        yield value
    if not isinstance(value, list):
        return
    for item in value:
        if key == "forced_decoder_ids":
            # A place in the answer, and a token.
            yield from _inside("", item[1])
        elif key == "sequence_bias":
            # Tokens, and a number that is no token.
            yield from _inside("", item[0])
        else:
            yield from _inside("", item)


def _renamed(key: str, value: object, new: Mapping[int, int]) -> object:
    if _is_number(value):
        return new.get(value)
    if not isinstance(value, list):
        return value
    changed: list[object] = []
    for item in value:
        if key == "forced_decoder_ids":
            place, number = item
            if number in new:
                changed.append([place, new[number]])
        elif key == "sequence_bias":
            numbers, bias = item
            changed.append([_renamed("", numbers, new), bias])
        else:
            # A token that is gone is never generated, so nothing is lost by not naming it.
            number = _renamed("", item, new)
            if number is not None:
                changed.append(number)
    return changed


def _is_number(value: object) -> TypeGuard[int]:
    """Whether a value may be a token's number: a negative one stands for none, True is no number."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= 0
