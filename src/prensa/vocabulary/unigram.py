"""Unigram vocabularies (DeBERTa-v3, XLM-R, T5): each token has a score, the best sum wins.

Kudo 2018 (arXiv 1804.10959). Of all ways to tokenize a text the best stays the best when others are taken
away, so a text whose tokens all stay is tokenized as before. What an unknown character costs follows from the
least score of all.
"""

from __future__ import annotations

from collections.abc import Mapping

from prensa.vocabulary.content import BYTE, Model, Parts, scores_of


def always(model: Model) -> set[int]:
    """Return single characters, bytes, the token of least score, and what holds characters of no token."""
    entries = scores_of(model)
    # Any text can be written with these, so no text becomes unknown that was not.
    characters = {token for token, _ in entries if len(token) == 1}
    falls_back_to_bytes = bool(model.get("byte_fallback"))
    kept: set[int] = set()
    # What an unknown character costs is reckoned from the least score, so that must stay the least.
    least, least_score = 0, float("inf")
    for number, (token, score) in enumerate(entries):
        if score < least_score:
            least, least_score = number, score
        if token in characters or BYTE.fullmatch(token):
            kept.add(number)
        # Without this token, some of its characters would have none.
        if not falls_back_to_bytes and not characters.issuperset(token):
            kept.add(number)
    kept.add(least)
    if model.get("unk_id") is not None:
        kept.add(model["unk_id"])
    return kept


def parts(_model: Model) -> Parts:
    """Return a function from a token to what it needs: itself, in WordPiece vocabularies, too."""
    return lambda number: frozenset([number])


def trimmed(model: Model, new: Mapping[int, int]) -> dict[str, object]:
    """Return the model with the tokens that have a new number, which are in the order of the old ones."""
    vocab: list[object] = []
    for number, entry in enumerate(scores_of(model)):
        if number in new:
            vocab.append(entry)
    unknown = model.get("unk_id")
    if unknown is not None:
        unknown = new[unknown]
    return {**model, "vocab": vocab, "unk_id": unknown}
