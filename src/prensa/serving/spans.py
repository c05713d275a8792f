"""Answers that are parts of a text: entities of a token classifier, and what answers a question.

Both follow the pipelines of ``transformers``: tokens of like label side by side are one entity
(``aggregation_strategy="simple"``); of a question's context the likeliest start and end count, whole words,
15 tokens at most, and a context that is too long is read in windows that overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import Kind
from prensa.errors import DataError
from prensa.serving.answers import Answer, Numbers, Span, Window
from prensa.texts.encoding import row_at
from prensa.texts.given import Given, Wanted
from prensa.texts.reader import Reader

if TYPE_CHECKING:
    from transformers import BatchEncoding

    from prensa.texts.plain_tokenizer import Batch

# The label of tokens that are no part of an entity.
_NOTHING = "O"
# Tokens of a question with a part of its context.
_WINDOW = 384
# Tokens that two such parts share.
_OVERLAP = 128
# Tokens of an answer at most.
_ANSWER = 15
# The logit of a token that cannot be in an answer.
_OUT = -10000.0

Array = NDArray[np.floating]


@dataclass
class OfWords:
    """Entities. A text that is longer than the model reads is truncated, as in the pipeline."""

    tokenizer: Reader
    limit: int | None
    labels: tuple[str, ...]
    kind: Kind = "tokens"
    wanted: Wanted = "words"

    def read(self, given: Sequence[Given], first: int) -> list[Window]:
        """Tokenize texts with the places of their tokens."""
        _check_tokenizer(self.tokenizer)
        tokens = self.tokenizer(
            [one.text for one in given],
            truncation=self.limit is not None,
            max_length=self.limit,
            return_special_tokens_mask=True,
            verbose=False,
        )
        windows = []
        for number in range(len(given)):
            row = row_at(self.tokenizer, tokens, number)
            # The marks around a text are in no entity.
            counts = [not is_special for is_special in tokens["special_tokens_mask"][number]]
            windows.append(Window(row, number, tokens.encodings[number].offsets, counts))
        return windows

    def answer(self, given: Given, windows: Sequence[Window], outputs: Sequence[Numbers]) -> Answer:
        """Put tokens of one label together."""
        (window,) = windows
        (output,) = outputs
        spans = entities(given.text, window, output, self.labels)
        return Answer(output, {}, spans)


def entities(text: str, window: Window, logits: Numbers, labels: Sequence[str]) -> tuple[Span, ...]:
    """Group tokens ``[tokens, labels]`` of like label; one that begins (``B-``) starts a new group."""
    shares = _softmax(logits)
    groups: list[tuple[str, list[int]]] = []
    # Tokens that do not count are passed over: what stands on both sides of them may be one group.
    for token in np.flatnonzero(window.counts).tolist():
        likeliest = int(shares[token].argmax())
        label = labels[likeliest]
        tag = label
        if label.startswith(("B-", "I-")):
            tag = label[2:]
        begins = label.startswith("B-")
        if not groups or groups[-1][0] != tag:
            begins = True
        if begins:
            groups.append((tag, []))
        _, tokens = groups[-1]
        tokens.append(token)

    spans = []
    for tag, tokens in groups:
        if tag == _NOTHING:
            continue
        start, _ = window.offsets[tokens[0]]
        _, end = window.offsets[tokens[-1]]
        score = shares[tokens].max(axis=-1).mean()
        span = Span(tag, float(score), start, end, text[start:end])
        spans.append(span)
    return tuple(spans)


@dataclass
class OfQuestions:
    """The part of a context that answers a question."""

    tokenizer: Reader
    limit: int | None
    kind: Kind = "tokens"
    wanted: Wanted = "questions"

    def read(self, given: Sequence[Given], first: int) -> list[Window]:
        """Tokenize questions with their contexts, in as many windows as they need."""
        _check_tokenizer(self.tokenizer)
        windows = []
        for owner, question in enumerate(given):
            windows += self._windows(question, owner, first + owner)
        return windows

    def _windows(self, given: Given, owner: int, index: int) -> list[Window]:
        size = min(self.limit or _WINDOW, _WINDOW)
        room = size - self._tokens_around(given.text, index, size)
        texts = [[given.text], [given.pair or ""]]
        context = 1
        truncation = "only_second"
        # Models that pad on the left were trained with the context in front.
        if self.tokenizer.padding_side != "right":
            texts.reverse()
            context = 0
            truncation = "only_first"
        tokens = self.tokenizer(
            *texts,
            truncation=truncation,
            max_length=size,
            # A window that is all overlap would never come to an end.
            stride=min(size // 2, _OVERLAP, room - 1),
            return_overflowing_tokens=True,
            verbose=False,
        )
        windows = []
        for number in range(len(tokens["input_ids"])):
            row = row_at(self.tokenizer, tokens, number)
            offsets = _whole_words(tokens, number, context)
            counts = [sequence == context for sequence in tokens.sequence_ids(number)]
            windows.append(Window(row, owner, offsets, counts))
        return windows

    def _tokens_around(self, question: str, index: int, size: int) -> int:
        """Count the tokens of a question and the marks. Raises :class:`DataError` if no context fits in."""
        tokens = self.tokenizer([question], add_special_tokens=False, verbose=False)
        count = len(tokens["input_ids"][0])
        marks = self.tokenizer.num_special_tokens_to_add(pair=True)
        if count + marks >= size:
            raise DataError(
                f"predict(): input {index}: the question has {count} tokens, and the model reads {size} "
                "with the context; use a shorter one"
            )
        return count + int(marks)

    def answer(self, given: Given, windows: Sequence[Window], outputs: Sequence[Numbers]) -> Answer:
        """Choose the likeliest part over all windows. ``output`` is that of the window it is in."""
        context = given.pair or ""
        best = None
        best_output = outputs[0]
        for window, output in zip(windows, outputs, strict=True):
            span = _likeliest(context, window, output, self.tokenizer.cls_token_id)
            if span is None or (best is not None and span.score <= best.score):
                continue
            best = span
            best_output = output
        if best is None:
            return Answer(best_output, {})
        return Answer(best_output, {}, (best,))


def _likeliest(context: str, window: Window, logits: Numbers, cls_id: int | None) -> Span | None:
    """Return the likeliest answer in one window, None where nothing of the context is in it.

    The mark at the start keeps its share of the probability (a model may say there that no answer is in the
    context) and is never chosen.
    """
    counts = np.array(window.counts)
    if not counts.any():
        return None
    ids = np.array(window.row["input_ids"])
    kept = counts | (ids == cls_id)
    start_logits = np.where(kept, logits[:, 0], _OUT)
    end_logits = np.where(kept, logits[:, 1], _OUT)
    starts = _softmax(start_logits) * counts
    ends = _softmax(end_logits) * counts
    # Row i, column j: the answer from token i to token j. None ends before it starts, or is too long.
    scores = np.outer(starts, ends)
    scores = np.triu(scores)
    scores = np.tril(scores, _ANSWER - 1)
    best = int(scores.argmax())
    first, last = divmod(best, len(ends))
    score = float(scores[first, last])
    start, _ = window.offsets[first]
    _, end = window.offsets[last]
    return Span("", score, start, end, context[start:end])


def _whole_words(tokens: BatchEncoding | Batch, number: int, sequence: int) -> list[tuple[int, int]]:
    """Return for each token where its word starts and ends: an answer never ends inside of one."""
    encoding = tokens.encodings[number]
    offsets = [(start, end) for start, end in encoding.offsets]
    in_words = zip(encoding.word_ids, encoding.sequence_ids, strict=True)
    for token, (word, own_sequence) in enumerate(in_words):
        # Marks are in no word, and the other text has words of the same numbers.
        if word is None or own_sequence != sequence:
            continue
        characters = encoding.word_to_chars(word, sequence)
        if characters is not None:
            offsets[token] = characters
    return offsets


def _check_tokenizer(tokenizer: Reader) -> None:
    if not tokenizer.is_fast:
        raise DataError(f"{tokenizer.name_or_path}: finding parts of a text needs a tokenizer.json")


def _softmax(logits: Array) -> Array:
    # From the largest one down, so that nothing overflows.
    highest = logits.max(axis=-1, keepdims=True)
    shares = np.exp(logits - highest)
    total = shares.sum(axis=-1, keepdims=True)
    return np.asarray(shares / total)
