"""Unigram vocabularies (DeBERTa-v3, XLM-R, T5): each piece has a score, the best sum wins.

Kudo 2018 (arXiv 1804.10959). Of all ways to cut a text the best stays the best when others are taken away, so
a text whose pieces all stay is cut as before. What an unknown character costs follows from the least score of
all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

BYTE = re.compile(r"<0x[0-9A-F]{2}>")

Parts = Callable[[int], frozenset[int]]


def always(model: Mapping[str, Any]) -> set[int]:
    """Return single characters, bytes, the piece of least score, and what holds characters of no piece."""
    pieces = [piece for piece, _ in model["vocab"]]
    scores = [score for _, score in model["vocab"]]
    characters = {piece for piece in pieces if len(piece) == 1}
    found = {at for at, piece in enumerate(pieces) if piece in characters or BYTE.fullmatch(piece)}
    if not model.get("byte_fallback"):
        found |= {at for at, piece in enumerate(pieces) if not characters.issuperset(piece)}
    found.add(min(range(len(scores)), key=scores.__getitem__))
    if model.get("unk_id") is not None:
        found.add(model["unk_id"])
    return found


def parts(model: Mapping[str, Any]) -> Parts:  # noqa: ARG001  as BPE
    """Return a function from a piece to what it needs: itself, in WordPiece vocabularies, too."""
    return lambda piece: frozenset([piece])


def cut(model: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return the model with the pieces that have a new number, which are in the order of the old ones."""
    vocab = [entry for at, entry in enumerate(model["vocab"]) if at in new]
    unknown = model.get("unk_id")
    return {**model, "vocab": vocab, "unk_id": None if unknown is None else new[unknown]}
