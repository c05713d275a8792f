"""How each model tokenizes the texts: as the original does, or with the tokens of a trimmed vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prensa.checkpoint.kinds import LANGUAGE
from prensa.checkpoint.manifest import has_manifest, load_manifest
from prensa.errors import DataError, TokenizerError
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded, Row
from prensa.texts.ids import IGNORED
from prensa.texts.library import Library
from prensa.texts.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Texts on which two tokenizers must agree.
_COMPARED = 1000


@dataclass(frozen=True)
class Reading:
    """The texts in a model's own tokens.

    ``kept`` are the ids that these have in the original, None where they are the original's. ``changed``
    are the texts that the original tokenizes differently.
    """

    encoded: Encoded
    kept: Tensor | None = None
    changed: tuple[int, ...] = ()

    def take(self, indices: Sequence[int]) -> Reading:
        """Return some of the texts."""
        encoded = self.encoded
        places: list[list[int]] = []
        nbytes: list[list[int]] = []
        if encoded.places:
            places = [encoded.places[index] for index in indices]
        if encoded.nbytes:
            nbytes = [encoded.nbytes[index] for index in indices]
        spans: list[list[int]] = []
        if encoded.spans:
            spans = [encoded.spans[index] for index in indices]
        rows = [encoded.rows[index] for index in indices]
        taken = dataclasses.replace(encoded, rows=rows, places=places, nbytes=nbytes, spans=spans)
        all_changed = set(self.changed)
        changed: list[int] = []
        for position, index in enumerate(indices):
            if index in all_changed:
                changed.append(position)
        return Reading(taken, self.kept, tuple(changed))


def read_by(
    path: Path,
    original: Path,
    tokenizer: PreTrainedTokenizerBase,
    texts: Texts,
    encoded: Encoded,
    limit: int | None,
    library: Library,
) -> Reading:
    """Return how the model in ``path`` reads texts that the original reads as ``encoded``.

    Language models are compared token by token, so they read the original's tokens by their new ids; see
    :func:`readable`. Raises :class:`TokenizerError` where the tokenizers differ and none was trimmed.
    """
    kept = kept_tokens(path)
    if kept is None:
        few = texts.take(range(min(_COMPARED, len(texts))))
        _check_same_tokenizer(original, tokenizer, path, few, limit, library)
        return Reading(encoded)
    own = load_tokenizer(path)
    _check_trimmed_from(path, original, own, tokenizer, kept)
    if encoded.kind in LANGUAGE:
        return Reading(_with_new_ids(encoded, own, kept), kept)
    smaller = library.encode(own, texts, encoded.kind, limit)
    changed: list[int] = []
    for index, (row, before) in enumerate(zip(smaller.rows, encoded.rows, strict=True)):
        if kept[row["input_ids"]].tolist() != before["input_ids"]:
            changed.append(index)
    return Reading(smaller, kept, tuple(changed))


def _check_trimmed_from(
    path: Path,
    original: Path,
    own: PreTrainedTokenizerBase,
    tokenizer: PreTrainedTokenizerBase,
    kept: Tensor,
) -> None:
    """Raise :class:`TokenizerError` unless every token is the original's at the id that it had there."""
    before = tokenizer.get_vocab()
    for token, number in own.get_vocab().items():
        if before.get(token) != int(kept[number]):
            raise TokenizerError(
                f"{path}: its vocabulary was not trimmed from that of {original}; compare it with the model "
                "that it was made from"
            )


def _with_new_ids(encoded: Encoded, own: PreTrainedTokenizerBase, kept: Tensor) -> Encoded:
    """Return the original's tokens by the ids of a trimmed vocabulary; 0 stands for what it has not."""
    new = {old: number for number, old in enumerate(kept.tolist())}
    rows: list[Row] = []
    for row in encoded.rows:
        ids = [new.get(old, 0) for old in row["input_ids"]]
        rows.append({**row, "input_ids": ids})
    fill = {**encoded.fill, "input_ids": own.pad_token_id}
    return dataclasses.replace(encoded, rows=rows, fill=fill, mask_id=own.mask_token_id)


def readable(paths: Sequence[Path], encoded: Encoded) -> list[int]:
    """Return which texts all models can be compared on: for language models those whose tokens all stayed.

    Raises :class:`DataError` where there are none.
    """
    everything = list(range(len(encoded.rows)))
    if encoded.kind not in LANGUAGE:
        return everything
    stays: set[int] | None = None
    for path in paths:
        kept = kept_tokens(path)
        if kept is None:
            continue
        own = set(kept.tolist())
        stays = own if stays is None else stays & own
    if stays is None:
        return everything
    indices = [index for index in everything if stays.issuperset(encoded.rows[index]["input_ids"])]
    if not indices:
        raise DataError(
            f"{', '.join(map(str, paths))}: no text consists of tokens that the trimmed vocabulary has, and "
            "language models are compared token by token; give other texts"
        )
    return indices


@dataclass(frozen=True)
class CommonTokens:
    """The tokens that all vocabularies have: their ids in the original, and their columns in each model."""

    ids: Tensor
    columns: Sequence[Tensor]


def common_tokens(readings: Sequence[Reading]) -> CommonTokens | None:
    """Return what probabilities are compared over, None where no vocabulary was trimmed: over all tokens."""
    common: set[int] | None = None
    for reading in readings:
        if reading.kept is None:
            continue
        own = set(reading.kept.tolist())
        common = own if common is None else common & own
    if common is None:
        return None
    ids = torch.tensor(sorted(common))
    columns: list[Tensor] = []
    for reading in readings:
        # The kept ids are sorted, so the place of an id among them is its new one.
        columns.append(ids if reading.kept is None else torch.searchsorted(reading.kept, ids))
    return CommonTokens(ids, columns)


def common_words(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Leave out words that not all models read: one that takes more tokens may be truncated earlier."""
    if not any(reading.kept is not None and reading.encoded.places for reading in readings):
        return tuple(readings)
    read_by_all: list[list[bool]] = []
    for text in range(len(readings[0].encoded.places)):
        of_text = [reading.encoded.places[text] for reading in readings]
        words = max(len(places) for places in of_text)
        read_by_all.append([_is_read(of_text, word) for word in range(words)])
    return tuple(_with_words(reading, read_by_all) for reading in readings)


def _is_read(places: Sequence[Sequence[int]], word: int) -> bool:
    """Whether all models read a word; ``places`` are those of one text's words for each model."""
    for own in places:
        if word >= len(own) or own[word] == IGNORED:
            return False
    return True


def _with_words(reading: Reading, are_read: Sequence[Sequence[bool]]) -> Reading:
    places: list[list[int]] = []
    for own, read in zip(reading.encoded.places, are_read, strict=True):
        places.append([place if is_read else IGNORED for place, is_read in zip(own, read, strict=False)])
    encoded = dataclasses.replace(reading.encoded, places=places)
    return dataclasses.replace(reading, encoded=encoded)


def kept_tokens(path: Path) -> Tensor | None:
    """Return the ids that the tokens of a trimmed vocabulary had before, None where none was trimmed."""
    if not has_manifest(path):
        return None
    vocabulary = load_manifest(path).vocabulary
    if vocabulary is None:
        return None
    return torch.tensor(vocabulary.kept)


def own_row(row: Row, readings: tuple[Reading, Reading]) -> Row:
    """Return what the second model reads of a text that the first reads as ``row``."""
    first, second = readings
    for index, candidate in enumerate(first.encoded.rows):
        # By identity: two texts may be read alike, and the second model reads both at their own places.
        if candidate is row:
            return second.encoded.rows[index]
    raise ValueError("the row is none of the first reading's")


def _check_same_tokenizer(
    original: Path,
    tokenizer: PreTrainedTokenizerBase,
    path: Path,
    texts: Texts,
    limit: int | None,
    library: Library,
) -> None:
    other = load_tokenizer(path)
    if other.get_vocab() == tokenizer.get_vocab():
        rows = library.encode(tokenizer, texts, "classes", limit).rows
        if library.encode(other, texts, "classes", limit).rows == rows:
            return
    raise TokenizerError(
        f"{path}: its tokenizer is not that of {original}; copy the original's tokenizer files, or compare "
        "with the model that it was made from"
    )
