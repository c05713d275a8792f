"""WordPiece vocabularies (BERT, ELECTRA): of each word the longest piece that fits, then the next.

Wu et al. 2016 (arXiv 1609.08144). The longest of all pieces is the longest of those that stay, if it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def always(model: Mapping[str, Any]) -> set[int]:
    """Return single characters, at the start of words and within, and what holds characters of no piece."""
    vocab: Mapping[str, int] = model["vocab"]
    prefix = model["continuing_subword_prefix"]
    found = {vocab[model["unk_token"]]} if model["unk_token"] in vocab else set()
    for piece, number in vocab.items():
        bare = piece.removeprefix(prefix)
        first = prefix + bare[:1] if piece.startswith(prefix) else bare[:1]
        smaller = {first, *(prefix + character for character in bare[1:])}
        if len(bare) <= 1 or not smaller <= vocab.keys():
            found.add(number)
    return found


def cut(model: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return the model with the pieces that have a new number."""
    return {**model, "vocab": renumbered(model["vocab"], new)}


def renumbered(vocab: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    """Return the pieces that have a new number, with it, in its order."""
    found = {piece: new[number] for piece, number in vocab.items() if number in new}
    return dict(sorted(found.items(), key=lambda item: item[1]))
