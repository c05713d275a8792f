"""What a model is timed on: texts as long as the caller's, one at a time and together, as they are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prensa.errors import DataError, SettingError
from prensa.texts.columns import Texts
from prensa.texts.given import Wanted, read_given

# Of texts from the shortest to the longest: a usual one, and a long one.
_USUAL = 0.5
_LONG = 0.9
# More at once only take longer: what is faster with so many is faster with more.
_TOGETHER = 8
# Texts whose lengths differ by less are as good as of one length.
_STEP = 16


def groups(lengths: Sequence[int]) -> list[list[int]]:
    """Choose texts to time a model on, as their numbers: a usual one, a long one, and several at once."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    last = len(order) - 1
    middle = round(_USUAL * last)
    long = round(_LONG * last)
    chosen = [[order[middle]], [order[long]]]
    # Of like length, as texts are sorted before they are answered together.
    start = max(0, middle - _TOGETHER // 2)
    together = order[start : start + _TOGETHER]
    if len(together) > 1:
        chosen.append(together)
    return chosen


def shapes(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return for each of the :func:`groups` how many texts it has, and of how many tokens at most.

    Tokens are rounded up, so that texts that are a little longer are the same load.
    """
    found = []
    for group in groups(lengths):
        longest = max(lengths[index] for index in group)
        steps = -(-longest // _STEP)
        found.append((len(group), steps * _STEP))
    return found


def own_texts(values: Iterable[object]) -> Texts:
    """Read the texts that a caller has many of, in any form that ``predict`` takes.

    Raises :class:`SettingError` for a single text or none, and :class:`DataError` for what is no text.
    """
    if isinstance(values, (str, bytes, Mapping)):
        raise SettingError("`texts` takes many texts, found one; put it in a list")
    texts = []
    pairs = []
    for number, value in enumerate(values):
        wanted: Wanted = "texts"
        if isinstance(value, Mapping) and "question" in value:
            wanted = "questions"
        try:
            given = read_given(value, number, wanted)
        except DataError as error:
            reason = str(error).removeprefix("predict(): ")
            raise DataError(f"`texts`: {reason}") from error
        texts.append(given.text)
        pairs.append(given.pair or "")
    if not texts:
        raise SettingError("`texts` has none; leave it out for the built-in ones")
    second = tuple(pairs) if any(pairs) else None
    return Texts("texts", tuple(texts), second)
