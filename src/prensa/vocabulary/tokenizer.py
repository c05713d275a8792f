"""A tokenizer's JSON, as the library ``tokenizers`` writes it, with fewer tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import TokenizerError
from prensa.vocabulary import bpe, unigram, wordpiece
from prensa.vocabulary.content import FILE, Content, Json, Model, Parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Family:
    """How tokenizers of one kind are trimmed.

    ``always`` names what every text may need, ``parts`` what a token needs, ``trimmed`` makes the smaller
    model.
    """

    always: Callable[[Model], set[int]]
    parts: Callable[[Model], Parts]
    trimmed: Callable[[Model, Mapping[int, int]], dict[str, object]]


FAMILIES = {
    "Unigram": Family(unigram.always, unigram.parts, unigram.trimmed),
    "WordPiece": Family(wordpiece.always, unigram.parts, wordpiece.trimmed),
    "BPE": Family(bpe.always, bpe.parts, bpe.trimmed),
}


def read_content(path: Path, tokenizer: PreTrainedTokenizerBase) -> Content:
    """Return the JSON of a loaded tokenizer, that of its own file if it has one.

    Raises :class:`TokenizerError` for kinds that cannot be trimmed.
    """
    if not tokenizer.is_fast:
        raise TokenizerError(
            f"{path}: {type(tokenizer).__name__} has no tokenizer.json and cannot be turned into one; "
            "trimming needs one"
        )
    # What tokenizers writes of a loaded one may say more than the file, which should change by little.
    file = path / FILE
    if file.is_file():
        text = file.read_text(encoding="utf-8")
    else:
        text = tokenizer.backend_tokenizer.to_str()
    content: Content = json.loads(text)
    model: Model = content["model"]
    kind = model.get("type") or _kind(model)
    if kind not in FAMILIES:
        raise TokenizerError(
            f"{path}: a tokenizer of the kind {kind} cannot be trimmed; expected {', '.join(FAMILIES)}"
        )
    return {**content, "model": {**model, "type": kind}}


def family_of(content: Content) -> Family:
    """Return how a tokenizer is trimmed."""
    return FAMILIES[content["model"]["type"]]


def trimmed(content: Content, new: Mapping[int, int]) -> dict[str, object]:
    """Return the JSON with the tokens that have a new number."""
    added: list[Json] = []
    for token in content["added_tokens"]:
        added.append({**token, "id": new[token["id"]]})
    # By number, as tokenizers expects: it adds them one after another.
    added.sort(key=lambda token: token["id"])
    # Marks and padding always stay: see `always` of the plan.
    padding = content.get("padding")
    if padding:
        padding = {**padding, "pad_id": new[padding["pad_id"]]}
    return {
        **content,
        "model": family_of(content).trimmed(content["model"], new),
        "added_tokens": added,
        "post_processor": _processor(content.get("post_processor"), new),
        "padding": padding,
    }


def _kind(model: Model) -> str:
    """Return the kind of a model that does not say it, as files of before 2021."""
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    if "merges" in model:
        return "BPE"
    if "max_input_chars_per_word" in model:
        return "WordPiece"
    return "WordLevel"


def _processor(processor: Json | None, new: Mapping[int, int]) -> Json | None:
    """Return what puts marks around a text, with their new numbers."""
    if not processor:
        return processor
    changed = dict(processor)
    # A sequence of several, which may be sequences.
    if "processors" in processor:
        changed["processors"] = [_processor(inner, new) for inner in processor["processors"]]
    if isinstance(processor.get("special_tokens"), Mapping):
        tokens: dict[str, object] = {}
        for name, token in processor["special_tokens"].items():
            numbers = list(map(new.__getitem__, token["ids"]))
            tokens[name] = {**token, "ids": numbers}
        changed["special_tokens"] = tokens
    # BERT's and RoBERTa's own ways to say the same.
    for mark in ("sep", "cls"):
        if isinstance(processor.get(mark), list):
            text, number = processor[mark]
            changed[mark] = [text, new[number]]
    return changed
