"""Byte-pair encoding, of bytes (RoBERTa, GPT-2, Llama 3) or characters (Llama 2): pairs are merged by rank.

Sennrich et al. 2016 (arXiv 1508.07909). Merges are never undone, so all that happen in a text are those that
lead to its pieces; where these and the pieces in between stay, the same ones happen in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from prensa.vocabulary.unigram import BYTE, Parts
from prensa.vocabulary.wordpiece import renumbered


def always(model: Mapping[str, Any]) -> set[int]:
    """Return single characters, which stand for bytes in vocabularies of bytes, and the unknown piece."""
    vocab: Mapping[str, int] = model["vocab"]
    before, behind = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    found = {
        number
        for piece, number in vocab.items()
        if len(piece.removeprefix(before).removesuffix(behind)) <= 1 or BYTE.fullmatch(piece)
    }
    if model.get("unk_token") in vocab:
        found.add(vocab[model["unk_token"]])
    return found


def parts(model: Mapping[str, Any]) -> Parts:
    """Return a function from a piece to itself and all pieces that are merged on the way to it.

    A piece that no merges lead to is taken whole from the text, and needs itself alone.
    """
    vocab: Mapping[str, int] = model["vocab"]
    pieces = {number: piece for piece, number in vocab.items()}
    before, behind = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    ranks = {tuple(pair): rank for rank, pair in enumerate(_pairs(model))}

    @cache
    def needed(number: int) -> frozenset[int]:
        symbols = _symbols(pieces[number], before, behind)
        passed = {number}
        while len(symbols) > 1:
            best = min(
                range(len(symbols) - 1), key=lambda at: ranks.get((symbols[at], symbols[at + 1]), _NEVER)
            )
            if (symbols[best], symbols[best + 1]) not in ranks:
                return frozenset([number])
            passed |= {vocab[symbol] for symbol in symbols[best : best + 2]}
            symbols[best : best + 2] = [_merged(symbols[best], symbols[best + 1], before)]
        return frozenset(passed)

    return needed


_NEVER = 1 << 60


def _symbols(piece: str, before: str, behind: str) -> list[str]:
    """Return what a piece is merged from, at the start: its characters, marked as their places ask for."""
    inner, is_first, is_last = piece, True, False
    if before and piece.startswith(before):
        inner, is_first = piece.removeprefix(before), False
    if behind and inner.endswith(behind):
        inner, is_last = inner.removesuffix(behind), True
    symbols = [
        character if is_first and at == 0 else before + character for at, character in enumerate(inner)
    ]
    if is_last and symbols:
        symbols[-1] += behind
    return symbols


def _merged(left: str, right: str, before: str) -> str:
    return left + right.removeprefix(before)


def _pairs(model: Mapping[str, Any]) -> list[list[str]]:
    return [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]


def cut(model: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """Return the model with the pieces that have a new number, and the merges among them."""
    vocab = renumbered(model["vocab"], new)
    before = model.get("continuing_subword_prefix") or ""
    merges = [
        pair
        for pair, (left, right) in zip(model["merges"], _pairs(model), strict=True)
        if left in vocab and right in vocab and _merged(left, right, before) in vocab
    ]
    return {**model, "vocab": vocab, "merges": merges}
