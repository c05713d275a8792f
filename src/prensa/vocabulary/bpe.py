"""Byte-pair encoding, of bytes (RoBERTa, GPT-2, Llama 3) or characters (Llama 2): pairs are merged by rank.

Sennrich et al. 2016 (arXiv 1508.07909). Merges are never undone, so all that happen in a text are those that
lead to its tokens; where these and the tokens in between stay, the same ones happen in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from prensa.vocabulary.content import BYTE, Model, Parts, vocab_of
from prensa.vocabulary.wordpiece import renumbered

# A rank behind those of all merges.
_NEVER = 1 << 60


def always(model: Model) -> set[int]:
    """Return single characters, which stand for bytes in vocabularies of bytes, and the unknown token."""
    vocab = vocab_of(model)
    prefix, suffix = _marks(model)
    # Any text can be written with these, so no text becomes unknown that was not.
    kept: set[int] = set()
    for token, number in vocab.items():
        characters = token.removeprefix(prefix).removesuffix(suffix)
        is_byte = BYTE.fullmatch(token) is not None
        if is_byte or len(characters) <= 1:
            kept.add(number)
    unknown: str | None = model.get("unk_token")
    if unknown is not None and unknown in vocab:
        kept.add(vocab[unknown])
    return kept


def parts(model: Model) -> Parts:
    """Return a function from a token to itself and all tokens that are merged on the way to it.

    A token that no merges lead to is taken whole from the text, and needs itself alone.
    """
    vocab = vocab_of(model)
    tokens = {number: token for token, number in vocab.items()}
    prefix, suffix = _marks(model)
    # The earlier a merge was learned, the earlier it is done.
    ranks: dict[tuple[str, ...], int] = {}
    for rank, pair in enumerate(_pairs(model)):
        ranks[tuple(pair)] = rank

    # Many tokens are parts of many others.
    @cache
    def needed(number: int) -> frozenset[int]:
        symbols = _symbols(tokens[number], prefix, suffix)
        passed = {number}
        # As the tokenizer does: of all neighbours the pair of the lowest rank, until one symbol is left.
        while len(symbols) > 1:
            at = _best_pair(symbols, ranks)
            left, right = symbols[at], symbols[at + 1]
            # No merges lead to it, so it was not merged.
            if (left, right) not in ranks:
                return frozenset([number])
            passed.add(vocab[left])
            passed.add(vocab[right])
            symbols[at : at + 2] = [_merged(left, right, prefix)]
        return frozenset(passed)

    return needed


def trimmed(model: Model, new: Mapping[int, int]) -> dict[str, object]:
    """Return the model with the tokens that have a new number, and the merges among them."""
    vocab = renumbered(vocab_of(model), new)
    prefix, _ = _marks(model)
    merges: list[object] = []
    for merge, (left, right) in zip(model["merges"], _pairs(model), strict=True):
        # A merge is of use where both halves and what they make are left.
        symbols = {left, right, _merged(left, right, prefix)}
        if symbols <= vocab.keys():
            merges.append(merge)
    return {**model, "vocab": vocab, "merges": merges}


def _marks(model: Model) -> tuple[str, str]:
    """Return what stands before tokens inside a word, and behind those at its end."""
    # Most vocabularies have neither, and say so by null.
    prefix = model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""
    return prefix, suffix


def _best_pair(symbols: Sequence[str], ranks: Mapping[tuple[str, ...], int]) -> int:
    """Return where the neighbours of the lowest rank begin, the first of equals."""
    best, best_rank = 0, _NEVER
    for at in range(len(symbols) - 1):
        pair = (symbols[at], symbols[at + 1])
        rank = ranks.get(pair, _NEVER)
        if rank < best_rank:
            best, best_rank = at, rank
    return best


def _symbols(token: str, prefix: str, suffix: str) -> list[str]:
    """Return what a token is merged from: its characters, marked as their places in the word require."""
    inner = token
    is_first, is_last = True, False
    if prefix and token.startswith(prefix):
        inner = token.removeprefix(prefix)
        is_first = False
    if suffix and inner.endswith(suffix):
        inner = inner.removesuffix(suffix)
        is_last = True
    symbols: list[str] = []
    for at, character in enumerate(inner):
        if is_first and at == 0:
            symbols.append(character)
        else:
            symbols.append(prefix + character)
    if is_last and symbols:
        symbols[-1] += suffix
    return symbols


def _merged(left: str, right: str, prefix: str) -> str:
    return left + right.removeprefix(prefix)


def _pairs(model: Model) -> list[Sequence[str]]:
    """Return the two halves of each merge: files of before 2024 have them in one string."""
    pairs: list[Sequence[str]] = []
    for merge in model["merges"]:
        if isinstance(merge, str):
            pairs.append(merge.split(" "))
        else:
            pairs.append(merge)
    return pairs
