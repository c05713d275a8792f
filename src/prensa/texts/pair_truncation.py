"""Which of two texts loses tokens where both are too long: as the tokenizer's files say, else the longer one.

``tokenizer.json`` keeps how texts were truncated last when the tokenizer was saved, which for a model that
was fine-tuned is how its training did it. ``transformers`` reads that setting and makes no use of it:
``tokenizer(a, b, truncation=True)`` takes from the longer text, and so does Prensa where nothing was saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

LONGEST_FIRST = "longest_first"
_FIRST, _SECOND = "only_first", "only_second"


class _Rows(Protocol):
    """What a tokenizer makes of texts."""

    def __getitem__(self, name: str, /) -> list[list[int]]: ...


class _Tokenizer(Protocol):
    """As much of a tokenizer as it takes to count tokens."""

    def num_special_tokens_to_add(self, *, pair: bool = False) -> int: ...

    def __call__(self, texts: Sequence[str], /, *, add_special_tokens: bool, verbose: bool) -> _Rows: ...


def pair_truncation(tokenizer: object) -> str:
    """Return ``longest_first``, ``only_first`` or ``only_second``."""
    known = getattr(tokenizer, "pair_truncation", None)
    if known is None:
        settings = getattr(tokenizer, "init_kwargs", {})
        known = settings.get("truncation_strategy")
    if known in {_FIRST, _SECOND}:
        return str(known)
    return LONGEST_FIRST


def by_strategy(
    tokenizer: _Tokenizer, texts: Sequence[str], pairs: Sequence[str], limit: int
) -> dict[str, list[int]]:
    """Return which pairs are truncated in which way, by their places.

    Where the text that is to stay whole leaves no room for the other, the longer of both is truncated.
    """
    strategy = pair_truncation(tokenizer)
    if strategy == LONGEST_FIRST:
        return {LONGEST_FIRST: list(range(len(texts)))}
    whole = pairs if strategy == _FIRST else texts
    marks = tokenizer.num_special_tokens_to_add(pair=True)
    lengths = [
        len(ids) for ids in tokenizer(list(whole), add_special_tokens=False, verbose=False)["input_ids"]
    ]
    places: dict[str, list[int]] = {}
    for place, length in enumerate(lengths):
        own = strategy if length + marks < limit else LONGEST_FIRST
        places.setdefault(own, []).append(place)
    return places
