"""What ``tokenizer.json`` holds, and how its parts are called here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

FILE = "tokenizer.json"
"""Its name, in every model directory."""

Json = Mapping[str, Any]
"""An object of JSON whose keys are known to whoever reads it."""

Model = Json
"""Its key ``model``: the vocabulary, and how texts are tokenized with it."""

Content = Json
"""All of it."""

Parts = Callable[[int], frozenset[int]]
"""From a token to all that must stay for it to come out of a text, itself too."""

BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A token that stands for a byte, in vocabularies that fall back to these."""


def vocab_of(model: Model) -> Mapping[str, int]:
    """Return the numbers of tokens by their names; Unigram lists pairs instead (:func:`scores_of`)."""
    vocab: Mapping[str, int] = model["vocab"]
    return vocab


def scores_of(model: Model) -> Sequence[tuple[str, float]]:
    """Return the tokens of a Unigram model in the order of their numbers, each with its score."""
    vocab: Sequence[tuple[str, float]] = model["vocab"]
    return vocab


def tokens_of(content: Content) -> dict[int, str]:
    """Return all tokens by their numbers, added ones too."""
    model: Model = content["model"]
    # By number, since added tokens may stand in the vocabulary as well.
    tokens: dict[int, str] = {}
    if isinstance(model["vocab"], Mapping):
        for token, number in vocab_of(model).items():
            tokens[number] = token
    else:
        for number, (token, _) in enumerate(scores_of(model)):
            tokens[number] = token
    for added in content["added_tokens"]:
        tokens[added["id"]] = added["content"]
    return tokens
