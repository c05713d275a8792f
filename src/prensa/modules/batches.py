"""What is sent through a module: texts in batches, or the caller's own batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from prensa.calibration.plan import TEXTS
from prensa.errors import DataError, SettingError
from prensa.texts.columns import Texts, sample
from prensa.texts.library import Library
from prensa.texts.source import Source, as_source
from prensa.wording import printable

# A pair is two texts that are read together.
_PAIR = 2
# Characters of a text in a message.
_SHOWN = 40


@dataclass(frozen=True)
class Batches:
    """What is run, in order. ``source`` names it, ``count`` are its texts, or batches that are none."""

    source: str
    batches: Sequence[object]
    count: int


def batches_of(texts: Source | str | Path | Iterable[object] | None, batch_size: int) -> Batches:
    """Return batches of texts, or a caller's own batches as they are.

    Texts are a file, a data set or a :class:`~prensa.texts.source.Source` (None: the built-in ones), or an
    iterable of strings and pairs of strings. Of texts 256 are drawn, unless the source has another limit,
    and put into lists of ``batch_size``. Anything else in an iterable is a batch already.

    Raises :class:`SettingError` for a ``batch_size`` that is no positive number, :class:`DataError` where
    there is nothing, and what reading texts raises.
    """
    if batch_size < 1:
        raise SettingError(f"`batch_size` must be at least 1, found {batch_size}")
    if texts is None or isinstance(texts, (Source, str, Path)):
        return _grouped(_read(as_source(texts)), batch_size)
    given = list(texts)
    if not given:
        raise DataError("texts: expected texts or batches, found none")
    if all(isinstance(each, str) for each in given):
        return _grouped(_drawn(Texts("texts", tuple(map(str, given)))), batch_size)
    pairs = [each for each in given if _is_pair(each)]
    if len(pairs) == len(given):
        firsts, seconds = zip(*pairs, strict=True)
        return _grouped(_drawn(Texts("texts", firsts, pairs=seconds)), batch_size)
    return Batches("batches", given, len(given))


def shown(batch: object) -> str:
    """Show what a batch is, in a few words of one line."""
    if isinstance(batch, Tensor):
        return f"a tensor {list(batch.shape)}"
    if isinstance(batch, Mapping):
        items = [f"{name} {list(value.shape)}" for name, value in batch.items() if isinstance(value, Tensor)]
        return ", ".join(items) or f"a {type(batch).__name__}"
    if isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], str):
        return f"{len(batch)} texts, the first {printable(batch[0])[:_SHOWN]!r}"
    if isinstance(batch, (list, tuple)):
        return f"a {type(batch).__name__} of {len(batch)}"
    return f"a {type(batch).__name__}"


def _read(source: Source) -> Texts:
    texts = Library().all_texts(source)
    return sample(texts, TEXTS if source.limit is None else source.limit)


def _drawn(texts: Texts) -> Texts:
    return sample(texts, TEXTS)


def _grouped(texts: Texts, batch_size: int) -> Batches:
    rows: Sequence[object] = texts.texts
    if texts.pairs is not None:
        rows = list(zip(texts.texts, texts.pairs, strict=True))
    if not rows:
        raise DataError(f"{texts.name}: expected texts, found none")
    batches = []
    for start in range(0, len(rows), batch_size):
        batches.append(list(rows[start : start + batch_size]))
    return Batches(texts.name, batches, len(rows))


def _is_pair(value: object) -> bool:
    # A list of two texts is a batch; only a tuple is a pair.
    return isinstance(value, tuple) and len(value) == _PAIR and all(isinstance(each, str) for each in value)
