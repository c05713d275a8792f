"""WordPiece vocabularies (BERT, ELECTRA): of each word the longest token that fits, then the next.

Wu et al. 2016 (arXiv 1609.08144). The longest of all tokens is the longest of those that stay, if it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from prensa.vocabulary.content import Model, vocab_of


def always(model: Model) -> set[int]:
    """Return single characters, at the start of words and within, and what holds characters of no token."""
    vocab = vocab_of(model)
    prefix: str = model["continuing_subword_prefix"]
    # Any word can be written with these, so no word becomes unknown that was not.
    kept: set[int] = set()
    if model["unk_token"] in vocab:
        kept.add(vocab[model["unk_token"]])
    for token, number in vocab.items():
        bare = token.removeprefix(prefix)
        # The tokens of its characters: the first may begin a word, the others do not.
        smaller = {prefix + character for character in bare[1:]}
        if token.startswith(prefix):
            smaller.add(prefix + bare[:1])
        else:
            smaller.add(bare[:1])
        is_written_otherwise = smaller <= vocab.keys()
        if len(bare) <= 1 or not is_written_otherwise:
            kept.add(number)
    return kept


def trimmed(model: Model, new: Mapping[int, int]) -> dict[str, object]:
    """Return the model with the tokens that have a new number."""
    return {**model, "vocab": renumbered(vocab_of(model), new)}


def renumbered(vocab: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    """Return the tokens that have a new number, with it, in its order."""
    # In the order of the numbers, whatever that of the file was: vocab.txt has no other numbers.
    numbers: dict[str, int] = {}
    for token, number in vocab.items():
        if number in new:
            numbers[token] = new[number]
    return dict(sorted(numbers.items(), key=itemgetter(1)))
