"""How each model cuts the texts: as the original does, or into the pieces of a trimmed vocabulary."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prensa.checkpoint.manifest import MANIFEST_FILE, load_manifest
from prensa.checkpoint.task import LANGUAGE
from prensa.errors import EvaluationError
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded, Row, encode, load_tokenizer
from prensa.texts.ids import IGNORED

_COMPARED = 1000  # texts on which two tokenizers must agree


@dataclass(frozen=True)
class Reading:
    """The texts in a model's own pieces.

    ``kept`` are the numbers that these have in the original, None where they are the original's. ``changed``
    are the texts that are cut otherwise than by the original.
    """

    encoded: Encoded
    kept: Tensor | None = None
    changed: tuple[int, ...] = ()

    def take(self, indices: Sequence[int]) -> Reading:
        """Return some of the texts."""
        encoded = self.encoded
        part = dataclasses.replace(
            encoded,
            rows=[encoded.rows[i] for i in indices],
            places=[encoded.places[i] for i in indices] if encoded.places else [],
            nbytes=[encoded.nbytes[i] for i in indices] if encoded.nbytes else [],
        )
        changed = set(self.changed)
        return Reading(part, self.kept, tuple(at for at, i in enumerate(indices) if i in changed))


def read_by(  # noqa: PLR0913, PLR0917
    path: Path, original: Path, tokenizer: Any, texts: Texts, encoded: Encoded, limit: int | None
) -> Reading:
    """Return how the model in ``path`` reads texts that the original reads as ``encoded``.

    Language models are compared piece by piece, so they read the original's pieces by their new numbers; see
    :func:`readable`. Raises :class:`EvaluationError` where the tokenizers differ and none was trimmed.
    """
    kept = kept_pieces(path)
    if kept is None:
        few = texts.take(range(min(_COMPARED, len(texts))))
        _check_same_tokenizer(original, tokenizer, path, few, limit)
        return Reading(encoded)
    own = load_tokenizer(path)
    before = tokenizer.get_vocab()
    if any(before.get(piece) != int(kept[number]) for piece, number in own.get_vocab().items()):
        raise EvaluationError(
            f"{path}: its vocabulary was not trimmed from that of {original}; compare it with the model that "
            "it was made from"
        )
    if encoded.kind in LANGUAGE:
        new = {old: number for number, old in enumerate(kept.tolist())}
        rows = [{**row, "input_ids": [new.get(each, 0) for each in row["input_ids"]]} for row in encoded.rows]
        fill = {**encoded.fill, "input_ids": own.pad_token_id}
        return Reading(dataclasses.replace(encoded, rows=rows, fill=fill, mask_id=own.mask_token_id), kept)
    cut = encode(own, texts, encoded.kind, limit)
    changed = [
        at
        for at, (row, other) in enumerate(zip(cut.rows, encoded.rows, strict=True))
        if kept[row["input_ids"]].tolist() != other["input_ids"]
    ]
    return Reading(cut, kept, tuple(changed))


def readable(paths: Sequence[Path], encoded: Encoded) -> list[int]:
    """Return which texts all models can be compared on: of language models those whose pieces all stayed.

    Raises :class:`EvaluationError` where there are none.
    """
    if encoded.kind not in LANGUAGE:
        return list(range(len(encoded.rows)))
    vocabularies = [set(kept.tolist()) for kept in map(kept_pieces, paths) if kept is not None]
    found = [
        at for at, row in enumerate(encoded.rows) if all(v.issuperset(row["input_ids"]) for v in vocabularies)
    ]
    if not found:
        raise EvaluationError(
            f"{', '.join(map(str, paths))}: none of the texts is made of pieces that the trimmed vocabulary "
            "has, and language models are compared piece by piece; give other texts"
        )
    return found


@dataclass(frozen=True)
class CommonPieces:
    """The pieces that all vocabularies have: their numbers in the original's, and in that of each model."""

    numbers: Tensor
    columns: Sequence[Tensor]


def common_pieces(readings: Sequence[Reading]) -> CommonPieces | None:
    """Return what probabilities are compared over, None where no vocabulary was trimmed: over all pieces."""
    vocabularies = [reading.kept for reading in readings if reading.kept is not None]
    if not vocabularies:
        return None
    common = torch.tensor(sorted(set.intersection(*(set(kept.tolist()) for kept in vocabularies))))
    columns = [
        common if reading.kept is None else torch.searchsorted(reading.kept, common) for reading in readings
    ]
    return CommonPieces(common, columns)


def common_words(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Leave out words that not all models read: what takes more pieces may be cut off earlier."""
    if not any(reading.kept is not None and reading.encoded.places for reading in readings):
        return tuple(readings)
    places = [
        [all(at != IGNORED for at in word) for word in itertools.zip_longest(*of_text, fillvalue=IGNORED)]
        for of_text in zip(*(reading.encoded.places for reading in readings), strict=True)
    ]
    return tuple(_with_words(reading, places) for reading in readings)


def _with_words(reading: Reading, are_read: Sequence[Sequence[bool]]) -> Reading:
    places = [
        [at if is_read else IGNORED for at, is_read in zip(own, read, strict=False)]
        for own, read in zip(reading.encoded.places, are_read, strict=True)
    ]
    return dataclasses.replace(reading, encoded=dataclasses.replace(reading.encoded, places=places))


def kept_pieces(path: Path) -> Tensor | None:
    """Return the numbers that the pieces of a trimmed vocabulary had before, None where none was trimmed."""
    if not (path / MANIFEST_FILE).is_file():
        return None
    vocabulary = load_manifest(path).vocabulary
    return None if vocabulary is None else torch.tensor(vocabulary.kept)


def own_row(row: Row, readings: tuple[Reading, Reading]) -> Row:
    """Return what the second model reads of a text that the first reads as ``row``."""
    at = next(at for at, each in enumerate(readings[0].encoded.rows) if each is row)
    return readings[1].encoded.rows[at]


def _check_same_tokenizer(
    original: Path, tokenizer: Any, path: Path, texts: Texts, limit: int | None
) -> None:
    other = load_tokenizer(path)
    if other.get_vocab() == tokenizer.get_vocab():
        rows = (encode(each, texts, "classes", limit).rows for each in (tokenizer, other))
        differing = next((i for i, pair in enumerate(zip(*rows, strict=True)) if pair[0] != pair[1]), None)
        if differing is None:
            return
    raise EvaluationError(
        f"{path}: its tokenizer is not that of {original}; copy the original's tokenizer files, or compare "
        "with the model that it was made from"
    )
