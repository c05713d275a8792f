"""A tokenizer's JSON, as the library ``tokenizers`` writes it, with fewer pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prensa.errors import VocabularyError
from prensa.vocabulary import bpe, unigram, wordpiece
from prensa.vocabulary.unigram import Parts

FILE = "tokenizer.json"

Content = Mapping[str, Any]
"""Of ``tokenizer.json``."""


@dataclass(frozen=True)
class Family:
    """How tokenizers of one kind are cut down.

    ``always`` names what every text may need, ``parts`` what a piece needs, ``cut`` makes the smaller model.
    """

    always: Callable[[Content], set[int]]
    parts: Callable[[Content], Parts]
    cut: Callable[[Content, Mapping[int, int]], dict[str, Any]]


FAMILIES = {
    "Unigram": Family(unigram.always, unigram.parts, unigram.cut),
    "WordPiece": Family(wordpiece.always, unigram.parts, wordpiece.cut),
    "BPE": Family(bpe.always, bpe.parts, bpe.cut),
}


def read_content(path: Path, tokenizer: Any) -> Content:
    """Return the JSON of a loaded tokenizer, that of its own file where there is one.

    Raises :class:`VocabularyError` for kinds that cannot be trimmed.
    """
    if not tokenizer.is_fast:
        raise VocabularyError(
            f"{path}: {type(tokenizer).__name__} has no tokenizer.json and cannot be turned into one; "
            "trimming needs one"
        )
    file = path / FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else tokenizer.backend_tokenizer.to_str()
    content: Content = json.loads(text)
    kind = content["model"].get("type") or _kind(content["model"])
    if kind not in FAMILIES:
        raise VocabularyError(
            f"{path}: a tokenizer of the kind {kind} cannot be trimmed; expected {', '.join(FAMILIES)}"
        )
    return {**content, "model": {**content["model"], "type": kind}}


def _kind(model: Mapping[str, Any]) -> str:
    """Return the kind of a model that does not say it, as files of before 2021."""
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "BPE" if "merges" in model else "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"


def family_of(content: Content) -> Family:
    """Return how a tokenizer is cut down."""
    return FAMILIES[content["model"]["type"]]


def pieces_of(content: Content) -> dict[int, str]:
    """Return all pieces by their numbers, added tokens too."""
    vocab = content["model"]["vocab"]
    pieces = (
        {number: piece for piece, number in vocab.items()}
        if isinstance(vocab, Mapping)
        else {number: piece for number, (piece, _) in enumerate(vocab)}
    )
    return pieces | {token["id"]: token["content"] for token in content["added_tokens"]}


def cut(content: Content, new: Mapping[int, int]) -> dict[str, Any]:
    """Return the JSON with the pieces that have a new number."""
    tokens = [{**token, "id": new[token["id"]]} for token in content["added_tokens"]]
    padding = content.get("padding")
    if padding:
        padding = {**padding, "pad_id": new[padding["pad_id"]]}
    return {
        **content,
        "model": family_of(content).cut(content["model"], new),
        "added_tokens": sorted(tokens, key=lambda token: token["id"]),
        "post_processor": _processor(content.get("post_processor"), new),
        "padding": padding,
    }


def _processor(processor: Any, new: Mapping[int, int]) -> Any:
    """Return what puts marks around a text, with their new numbers."""
    if not processor:
        return processor
    changed = dict(processor)
    if "processors" in processor:
        changed["processors"] = [_processor(each, new) for each in processor["processors"]]
    if isinstance(processor.get("special_tokens"), Mapping):
        changed["special_tokens"] = {
            name: {**token, "ids": [new[each] for each in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
    for mark in ("sep", "cls"):
        if isinstance(processor.get(mark), list):
            text, number = processor[mark]
            changed[mark] = [text, new[number]]
    return changed
