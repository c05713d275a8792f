"""What one job reads: each file or data set once, and each text tokenized once by each tokenizer."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.kinds import LANGUAGE, Kind, Task
from prensa.texts.beir import is_beir, read_beir
from prensa.texts.collection import Collection, ranks, texts_in_collection
from prensa.texts.columns import Texts, read_texts, sample, table_of, texts_in
from prensa.texts.encoding import CHUNK, Encoded, Step, Tokenized, prepared, tokenize, unread
from prensa.texts.names import split_names
from prensa.texts.pair_truncation import pair_truncation
from prensa.texts.query_table import collection_in, query_columns
from prensa.texts.reader import Reader, alone
from prensa.texts.source import CALIBRATED, JUDGED, Source
from prensa.texts.table import DataTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COUNTED = 200_000
"""Texts whose tokens are counted at most: more change no share by anything that counts."""

# The largest number of one byte.
_BYTE = 255

_Text = tuple[str | tuple[str, ...], str | None]
"""A text as a tokenizer is given it, or its words, and the second text of a pair."""


class Library:
    """Texts of one job, for its one thread: made by the job, passed down, and gone with it.

    A file that changes meanwhile is still what it was at the first reading.
    """

    def __init__(self) -> None:
        self._tables: dict[Hashable, DataTable] = {}
        self._collections: dict[Hashable, Collection] = {}
        self._shelves: dict[Hashable, _Shelf] = {}

    def texts(self, source: Source, task: Task | None, splits: Sequence[str] = JUDGED) -> Texts:
        """Return what :func:`~prensa.texts.columns.read_texts` returns, from a table that is read once.

        Texts with labels and texts alone (``task`` None) come from the same table. Once a source has named a
        column of a table, whether its first line is a header is settled for later readings, too.
        Query–passage data is read as the task needs it: see :mod:`prensa.texts.collection`.
        """
        if source.name is None:
            return read_texts(source, task, splits=splits)
        collection = self._collection(source, task, splits)
        if collection is not None:
            return texts_in_collection(collection, task, source.limit, to_judge=task is not None)
        texts = texts_in(self._table(source, splits), source, task)
        return sample(texts, source.limit)

    def all_texts(self, source: Source, task: Task | None = None) -> Texts:
        """Return the texts to calibrate on and to count tokens in: without labels, and whatever the limit.

        Of a data set these are its training part, if it has one: what a model is judged by stays unseen. A
        ``task`` says how the model reads query–passage data, where that is what there is.
        """
        everything = replace(source, limit=None)
        if task is not None and ranks(task) and source.name is not None:
            collection = self._collection(everything, task, CALIBRATED)
            if collection is not None:
                return texts_in_collection(collection, task, to_judge=False)
        return self.texts(everything, None, CALIBRATED)

    def _table(self, source: Source, splits: Sequence[str]) -> DataTable:
        key = _table_key(source, splits)
        if key not in self._tables:
            self._tables[key] = table_of(source, splits)
        return self._tables[key]

    def _collection(self, source: Source, task: Task | None, splits: Sequence[str]) -> Collection | None:
        """Return the queries and passages of a source, None where it has none."""
        key = _table_key(source, splits)
        if key in self._collections:
            return self._collections[key]
        if is_beir(source):
            self._collections[key] = read_beir(source, splits)
            return self._collections[key]
        # For other tasks such a table is one of texts, whose columns have to be named.
        if task is not None and not ranks(task):
            return None
        table = self._table(source, splits)
        columns = query_columns(table, source)
        if columns is None:
            return None
        return collection_in(table, columns)

    def encode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        texts: Texts,
        kind: Kind,
        limit: int | None,
        step: Step = lambda done, total: None,
        *,
        prompt: str | None = None,
    ) -> Encoded:
        """Return what :func:`~prensa.texts.encoding.encode` returns, of texts that are tokenized once.

        Tokenizers with the same content share their texts, wherever they were loaded from. A text that was
        not truncated serves any limit that it fits in. Raises what ``encode`` raises.
        """
        texts = prepared(tokenizer, texts, kind, prompt)
        shelf = self._shelves.setdefault(_content_key(tokenizer), _Shelf())
        encoded = unread(tokenizer, kind)
        for start in range(0, len(texts), CHUNK):
            end = min(start + CHUNK, len(texts))
            chunk = texts.take(range(start, end))
            encoded.extend(shelf.tokenized(tokenizer, chunk, kind, limit))
            step(end, len(texts))
        return encoded


@dataclass
class _Shelf:
    """The texts of one tokenizer: whole ones, and truncated ones by the limit."""

    whole: dict[_Text, _Kept] = field(default_factory=dict)
    truncated: dict[tuple[_Text, int | None], _Kept] = field(default_factory=dict)

    def tokenized(
        self, tokenizer: PreTrainedTokenizerBase, texts: Texts, kind: Kind, limit: int | None
    ) -> list[Tokenized]:
        """Return the texts in their order; those that are not kept yet are tokenized together."""
        keys = _keys(texts, kind)
        needs_bytes = kind in LANGUAGE
        # A text that comes twice is tokenized once.
        missing: dict[_Text, int] = {}
        for index, key in enumerate(keys):
            if self._find(key, limit, needs_bytes=needs_bytes) is None:
                missing.setdefault(key, index)
        # Their order does not matter: what a text becomes depends on no other.
        if missing:
            indices = list(missing.values())
            fresh = tokenize(tokenizer, texts.take(indices), kind, limit)
            for key, text in zip(missing, fresh, strict=True):
                self._keep(key, limit, text)
        tokenized: list[Tokenized] = []
        for key in keys:
            kept = self._find(key, limit, needs_bytes=needs_bytes)
            if kept is not None:
                tokenized.append(kept.unpacked(with_bytes=needs_bytes))
        return tokenized

    def _find(self, key: _Text, limit: int | None, *, needs_bytes: bool) -> _Kept | None:
        kept = self.whole.get(key)
        if kept is None or not kept.fits(limit):
            kept = self.truncated.get((key, limit))
        # A text that was read for another kind of task has no bytes: they take time to count.
        if kept is None or (needs_bytes and kept.nbytes is None):
            return None
        return kept

    def _keep(self, key: _Text, limit: int | None, text: Tokenized) -> None:
        if text.is_truncated:
            self.truncated[key, limit] = _Kept.of(text)
        else:
            self.whole[key] = _Kept.of(text)


@dataclass(frozen=True)
class _Kept:
    """A :class:`Tokenized` text in a tenth of the memory: lists of numbers take 36 bytes for each token.

    What is given out is unpacked anew each time, so that nobody can change what others read.
    """

    row: dict[str, array[int]]
    is_truncated: bool
    places: array[int] | None
    nbytes: array[int] | None
    spans: array[int] | None = None

    @classmethod
    def of(cls, text: Tokenized) -> _Kept:
        row: dict[str, array[int]] = {}
        for key, values in text.row.items():
            row[key] = _packed(values)
        places, nbytes = None, None
        if text.places is not None:
            places = _packed(text.places)
        if text.nbytes is not None:
            nbytes = _packed(text.nbytes)
        spans = None
        if text.spans is not None:
            spans = _packed(text.spans)
        return cls(row, text.is_truncated, places, nbytes, spans)

    def fits(self, limit: int | None) -> bool:
        """Whether a text that was not truncated would not be at this limit either."""
        length = len(self.row["input_ids"])
        return limit is None or length <= limit

    def unpacked(self, *, with_bytes: bool) -> Tokenized:
        row: dict[str, list[int]] = {}
        for key, values in self.row.items():
            row[key] = values.tolist()
        places, nbytes = None, None
        if self.places is not None:
            places = self.places.tolist()
        if with_bytes and self.nbytes is not None:
            nbytes = self.nbytes.tolist()
        spans = None
        if self.spans is not None:
            spans = self.spans.tolist()
        return Tokenized(row, self.is_truncated, places, nbytes, spans)


def _packed(values: Iterable[int]) -> array[int]:
    """Keep numbers in one byte each if they allow it, as masks do, else in four."""
    numbers = array("i", values)
    if not numbers:
        return numbers
    if min(numbers) < 0 or max(numbers) > _BYTE:
        return numbers
    return array("B", numbers)


def _keys(texts: Texts, kind: Kind) -> list[_Text]:
    """Return what each text is kept under; words and texts of the same letters are different."""
    if kind == "tokens" and texts.words:
        return [(words, None) for words in texts.words]
    if kind == "questions":
        # Not as other pairs: of these the context alone is truncated, and its places are kept.
        return [((text,), pair) for text, pair in zip(texts.texts, texts.pairs or (), strict=True)]
    if texts.pairs:
        return list(zip(texts.texts, texts.pairs, strict=True))
    return [(text, None) for text in texts.texts]


def _table_key(source: Source, splits: Sequence[str]) -> Hashable:
    """Return what a table depends on: where it is, and whether its columns are given by number."""
    name = str(source.name)
    path = Path(name).expanduser()
    if path.exists():
        # The same file by another path is the same table.
        name = str(path.resolve())
    numbers: list[str] = []
    for option in source.asked:
        numbers.extend(filter(str.isdecimal, split_names(option)))
    # A source that names a split does not depend on which are tried.
    tried = tuple(splits)
    if source.split is not None:
        tried = (source.split,)
    return name, source.split, tried, source.encoding, tuple(sorted(numbers))


def reads_alike(tokenizer: Reader, other: Reader) -> bool:
    """Whether two tokenizers give the same ids for any text, as far as their content shows."""
    return _content_key(tokenizer) == _content_key(other)


def _content_key(tokenizer: Reader) -> Hashable:
    """Return what is equal for tokenizers that give the same ids.

    A fast one is known by its content, so that a copy of a model at another path shares its texts. One in
    Python is known as itself, which also keeps it from being deleted, and its identity from being reused.
    """
    if not tokenizer.is_fast:
        itself: Hashable = tokenizer
        return itself
    backend = tokenizer.backend_tokenizer
    # How it truncates and pads is a state that the last call has left, and each call sets.
    with alone(tokenizer):
        backend.no_truncation()
        backend.no_padding()
        content = backend.to_str()
    return (
        hashlib.sha256(content.encode()).digest(),
        type(tokenizer),
        # What transformers adds to the content.
        tuple(tokenizer.model_input_names),
        tokenizer.pad_token_id,
        tokenizer.truncation_side,
        pair_truncation(tokenizer),
        getattr(tokenizer, "split_special_tokens", False),
    )
