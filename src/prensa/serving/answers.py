"""What a model makes of a text: its numbers, probabilities of labels, the parts of the text it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import Kind
from prensa.texts.columns import Texts
from prensa.texts.encoding import Row, encode
from prensa.texts.given import Given, Wanted
from prensa.texts.reader import Reader

if TYPE_CHECKING:
    from prensa.runtime.text_vector import TextVector

Numbers = NDArray[np.float32]

NO_NUMBER = "the model gave no number (NaN or infinity)"
"""What is said of a text on which a model fails so: half precision overflows, or a weight is broken."""


@dataclass(frozen=True)
class Span:
    """A part of a text: an entity with its label, or the answer to a question, whose label is empty.

    ``text`` is ``text[start:end]`` of what was given (of the context, for a question).
    """

    label: str
    score: float
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Answer:
    """What a model makes of a text, or of two that it reads together.

    ``output`` are its own numbers: logits ``[labels]``, the vector of the text ``[size]``, logits of its
    tokens ``[tokens, labels]``, or those of where an answer starts and ends ``[tokens, 2]``. ``scores`` are
    the probabilities of its labels, the likeliest first, as ``transformers.pipeline`` gives them; empty if it
    has no labels. ``spans`` are entities in the order of the text, or the answer to a question. Where a model
    gave no number there are neither scores nor spans.
    """

    output: Numbers
    scores: dict[str, float]
    spans: tuple[Span, ...] = ()

    @property
    def has_numbers(self) -> bool:
        """Whether all that the model gave are numbers; NaN and infinity are none."""
        return bool(np.isfinite(self.output).all())

    @property
    def label(self) -> str | None:
        """The likeliest label."""
        return next(iter(self.scores), None)


@dataclass(frozen=True)
class Window:
    """What the model reads at once of an input, the ``owner``-th.

    ``offsets`` are the characters that each token stands for, and ``counts`` which tokens may be in a span.
    """

    row: Row
    owner: int
    offsets: Sequence[tuple[int, int]] = ()
    counts: Sequence[bool] = ()


class Answering(Protocol):
    """How inputs become rows of tokens, and outputs answers."""

    kind: Kind
    wanted: Wanted

    def read(self, given: Sequence[Given], first: int) -> list[Window]:
        """Tokenize inputs, of which ``first`` is the number of the first."""

    def answer(self, given: Given, windows: Sequence[Window], outputs: Sequence[Numbers]) -> Answer:
        """Put an answer together from what the model gave for an input's rows, without padding."""


def put_together(
    answering: Answering, given: Sequence[Given], windows: Sequence[Window], outputs: Sequence[Numbers]
) -> list[Answer]:
    """Make answers of what the model gave for all windows of ``given``, in order.

    An answer has no numbers (:attr:`Answer.has_numbers`) where the model gave none for any of its windows:
    NaN would be the likeliest label of all, and the likeliest part of a text.
    """
    # A text that is longer than the model reads may have several windows.
    own_windows: list[list[Window]] = [[] for _ in given]
    own_outputs: list[list[Numbers]] = [[] for _ in given]
    for window, output in zip(windows, outputs, strict=True):
        own_windows[window.owner].append(window)
        own_outputs[window.owner].append(output)
    answers = []
    for one, its_windows, its_outputs in zip(given, own_windows, own_outputs, strict=True):
        broken = [output for output in its_outputs if not np.isfinite(output).all()]
        if broken:
            answers.append(Answer(broken[0], {}))
        else:
            answers.append(answering.answer(one, its_windows, its_outputs))
    return answers


@dataclass
class OfTexts:
    """Answers to whole texts: labels, a number, or a vector.

    ``labels`` are those whose probabilities count, none where a model gives a number of no bounds. ``vector``
    makes one of those of a text's tokens, None where the model gives no vectors.
    """

    tokenizer: Reader
    limit: int | None
    kind: Kind
    labels: tuple[str, ...] = ()
    vector: TextVector | None = None
    prompt: str | None = None
    wanted: Wanted = "texts"

    def read(self, given: Sequence[Given], first: int) -> list[Window]:
        """Tokenize texts and pairs, each as what it is."""
        # A tokenizer takes texts or pairs, not both at once.
        single = []
        paired = []
        pairs = []
        for one in given:
            if one.pair is None:
                single.append(one.text)
            else:
                paired.append(one.text)
                pairs.append(one.pair)
        rows = self._rows(Texts("texts", tuple(single)))
        rows_of_pairs = self._rows(Texts("texts", tuple(paired), pairs=tuple(pairs)))

        # Each takes its row from those of its kind, in turn.
        windows = []
        for number, one in enumerate(given):
            if one.pair is None:
                row = next(rows)
            else:
                row = next(rows_of_pairs)
            windows.append(Window(row, number))
        return windows

    def _rows(self, texts: Texts) -> Iterator[Row]:
        encoded = encode(
            self.tokenizer,
            texts,
            self.kind,
            self.limit,
            prompt=self.prompt,
        )
        return iter(encoded.rows)

    def answer(self, given: Given, windows: Sequence[Window], outputs: Sequence[Numbers]) -> Answer:
        """Turn logits into probabilities, or tokens' vectors into one."""
        (output,) = outputs
        if self.vector is not None:
            return Answer(vector_of(self.vector, output, windows[0].row), {})
        if not self.labels:
            return Answer(output, {})
        # Of classes one is right, of several labels each may be.
        if self.kind == "classes":
            shares = softmax(output)
        else:
            shares = sigmoid(output)
        scores = dict(zip(self.labels, shares.tolist(), strict=True))
        likeliest_first = sorted(scores.items(), key=lambda item: -item[1])
        return Answer(output, dict(likeliest_first))


def softmax(logits: Numbers) -> Numbers:
    """Return shares of one, along the last axis."""
    exact = logits.astype(np.float64)
    # From the largest one down, so that nothing overflows.
    shares = np.exp(exact - exact.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: Numbers) -> Numbers:
    """Return the probability of each logit for itself."""
    # By its tangent: no exponential overflows.
    exact = logits.astype(np.float64)
    return ((1 + np.tanh(exact / 2)) / 2).astype(np.float32)


def vector_of(vector: TextVector, tokens: Numbers, row: Row) -> Numbers:
    """Make one vector of those of a text's tokens ``[tokens, size]``."""
    # Imported here: only models of vectors need PyTorch to answer.
    import torch

    from prensa.isolation import as_usual_in_thread

    with as_usual_in_thread():
        # Some tokenizers give no mask: then all tokens count.
        mask = None
        if "attention_mask" in row:
            mask = torch.tensor([row["attention_mask"]])
        vectors = vector(torch.from_numpy(tokens)[None], mask)
        numbers: Numbers = np.asarray(vectors[0].numpy())
    return numbers
