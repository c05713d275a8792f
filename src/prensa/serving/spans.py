"""Answers that are parts of a text: entities of a token classifier, and what answers a question.

Both follow the pipelines of ``transformers``: tokens of like label side by side are one entity
(``aggregation_strategy="simple"``); of a question's context the likeliest start and end count, whole words,
15 tokens at most, and a context that is too long is read in windows that overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.task import Kind
from prensa.errors import DataError
from prensa.serving.answers import Answer, Asked, Numbers, Span
from prensa.texts.encoding import row_at
from prensa.texts.given import Given, Wanted

_NOTHING = "O"  # the label of tokens that are no part of an entity
_WINDOW, _OVERLAP = (
    384,
    128,
)  # tokens of a question with a part of its context, and those that two parts share
_ANSWER = 15  # tokens
_OUT = -10000.0  # the logit of a token that cannot be in an answer

Array = NDArray[Any]


@dataclass
class OfWords:
    """Entities. A text that is longer than the model reads is cut, as the pipeline does."""

    tokenizer: Any
    limit: int | None
    labels: tuple[str, ...]
    kind: Kind = "tokens"
    wanted: Wanted = "words"

    def read(self, given: Sequence[Given], first: int) -> list[Asked]:  # noqa: ARG002
        """Tokenize texts with the places of their tokens."""
        _check_tokenizer(self.tokenizer)
        found = self.tokenizer(
            [each.text for each in given],
            truncation=self.limit is not None,
            max_length=self.limit,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        counts = [[not is_special for is_special in mask] for mask in found["special_tokens_mask"]]
        return [
            Asked(row_at(self.tokenizer, found, at), at, found["offset_mapping"][at], counts[at])
            for at in range(len(given))
        ]

    def answer(self, given: Given, asked: Sequence[Asked], outputs: Sequence[Numbers]) -> Answer:
        """Put tokens of one label together."""
        ((read,), (output,)) = (asked, outputs)
        return Answer(output, {}, entities(given.text, read, output, self.labels))


def entities(text: str, asked: Asked, logits: Numbers, labels: Sequence[str]) -> tuple[Span, ...]:
    """Group tokens ``[tokens, labels]`` of like label; one that begins (``B-``) starts a new group."""
    shares = _softmax(logits)
    groups: list[tuple[str, list[int]]] = []
    for at in np.flatnonzero(asked.counts):
        label = labels[int(shares[at].argmax())]
        tag = label[2:] if label.startswith(("B-", "I-")) else label
        if groups and groups[-1][0] == tag and not label.startswith("B-"):
            groups[-1][1].append(int(at))
        else:
            groups.append((tag, [int(at)]))
    spans = []
    for tag, tokens in groups:
        start, end = asked.offsets[tokens[0]][0], asked.offsets[tokens[-1]][1]
        score = float(shares[tokens].max(axis=-1).mean())
        if tag != _NOTHING:
            spans.append(Span(tag, score, start, end, text[start:end]))
    return tuple(spans)


@dataclass
class OfQuestions:
    """The part of a context that answers a question."""

    tokenizer: Any
    limit: int | None
    kind: Kind = "tokens"
    wanted: Wanted = "questions"

    def read(self, given: Sequence[Given], first: int) -> list[Asked]:
        """Tokenize questions with their contexts, in as many windows as they need."""
        _check_tokenizer(self.tokenizer)
        asked = []
        for at, each in enumerate(given):
            asked += self._windows(each, at, first + at)
        return asked

    def _windows(self, given: Given, owner: int, index: int) -> list[Asked]:
        is_first = self.tokenizer.padding_side == "right"  # the question; as the models were trained
        size = min(self.limit or _WINDOW, _WINDOW)
        question = len(self.tokenizer(given.text, add_special_tokens=False, verbose=False)["input_ids"])
        room = size - question - self.tokenizer.num_special_tokens_to_add(pair=True)
        if room < 1:
            raise DataError(
                f"predict(): input {index}: the question has {question} tokens, and the model reads {size} "
                "with the context; ask a shorter one"
            )
        texts = (given.text, given.pair or "")
        found = self.tokenizer(
            *(texts if is_first else texts[::-1]),
            truncation="only_second" if is_first else "only_first",
            max_length=size,
            stride=min(size // 2, _OVERLAP, room - 1),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        of_context = int(is_first)
        return [
            Asked(
                row_at(self.tokenizer, found, at),
                owner,
                _whole_words(found, at, of_context),
                [sequence == of_context for sequence in found.sequence_ids(at)],
            )
            for at in range(len(found["input_ids"]))
        ]

    def answer(self, given: Given, asked: Sequence[Asked], outputs: Sequence[Numbers]) -> Answer:
        """Choose the likeliest part over all windows. ``output`` is that of the window it is in."""
        context = given.pair or ""
        best, chosen = None, outputs[0]
        for read, output in zip(asked, outputs, strict=True):
            found = _likeliest(read, output, self.tokenizer.cls_token_id)
            if found is None or (best is not None and found[2] <= best.score):
                continue
            start, end = read.offsets[found[0]][0], read.offsets[found[1]][1]
            best, chosen = Span("", found[2], start, end, context[start:end]), output
        return Answer(chosen, {}, () if best is None else (best,))


def _likeliest(asked: Asked, logits: Numbers, cls_id: int | None) -> tuple[int, int, float] | None:
    """Return the first and last token of the likeliest answer, and its probability; None without a context.

    The mark at the start keeps its share of the probability (a model may say there that no answer is in the
    context) and is never chosen.
    """
    counts = np.array(asked.counts)
    if not counts.any():
        return None
    kept = counts | (np.array(asked.row["input_ids"]) == cls_id)
    starts, ends = (_softmax(np.where(kept, logits[:, side], _OUT)) * counts for side in (0, 1))
    candidates = np.tril(np.triu(np.outer(starts, ends)), _ANSWER - 1)
    start, end = np.unravel_index(int(candidates.argmax()), candidates.shape)
    return int(start), int(end), float(candidates[start, end])


def _whole_words(found: Any, window: int, sequence: int) -> list[tuple[int, int]]:
    """Return for each token where its word starts and ends: an answer never ends inside of one."""
    offsets: list[tuple[int, int]] = [tuple(each) for each in found["offset_mapping"][window]]
    encoding = found.encodings[window]
    for at, (word, own) in enumerate(zip(encoding.word_ids, encoding.sequence_ids, strict=True)):
        chars = None if word is None or own != sequence else encoding.word_to_chars(word, sequence)
        if chars is not None:
            offsets[at] = chars
    return offsets


def _check_tokenizer(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise DataError(f"{tokenizer.name_or_path}: finding parts of a text needs a tokenizer.json")


def _softmax(logits: Array) -> Array:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
