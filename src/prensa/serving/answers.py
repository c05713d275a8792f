"""What a model makes of a text: its numbers, probabilities of labels, the parts of the text it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.checkpoint.task import Kind
from prensa.runtime.text_vector import TextVector
from prensa.texts.columns import Texts
from prensa.texts.encoding import Row, encode
from prensa.texts.given import Given, Wanted

Numbers = NDArray[np.float32]


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
    the probabilities of its labels, the likeliest first, as ``transformers.pipeline`` gives them; empty where
    there are none. ``spans`` are entities in the order of the text, or the answer to a question.
    """

    output: Numbers
    scores: dict[str, float]
    spans: tuple[Span, ...] = ()

    @property
    def label(self) -> str | None:
        """The likeliest label."""
        return next(iter(self.scores), None)


@dataclass(frozen=True)
class Asked:
    """What the model reads at once of an input, the ``owner``-th.

    ``offsets`` say which characters each token stands for, and ``counts`` which tokens may be in a span.
    """

    row: Row
    owner: int
    offsets: Sequence[tuple[int, int]] = ()
    counts: Sequence[bool] = ()


class Answering(Protocol):
    """How inputs become rows of tokens, and outputs answers."""

    kind: Kind
    wanted: Wanted

    def read(self, given: Sequence[Given], first: int) -> list[Asked]:
        """Tokenize inputs, of which ``first`` is the number of the first."""

    def answer(self, given: Given, asked: Sequence[Asked], outputs: Sequence[Numbers]) -> Answer:
        """Put an answer together from what the model gave for an input's rows, without padding."""


@dataclass
class OfTexts:
    """Answers to whole texts: labels, a number, or a vector.

    ``labels`` are those whose probabilities count, none where a model gives a number of no bounds.
    """

    tokenizer: Any
    limit: int | None
    kind: Kind
    labels: tuple[str, ...] = ()
    vector: TextVector = field(default_factory=TextVector)
    prompt: str | None = None
    wanted: Wanted = "texts"

    def read(self, given: Sequence[Given], first: int) -> list[Asked]:  # noqa: ARG002
        """Tokenize texts and pairs, each as what it is."""
        found: dict[int, Asked] = {}
        for are_pairs in (False, True):
            chosen = [at for at, each in enumerate(given) if (each.pair is not None) == are_pairs]
            texts = Texts(
                "texts",
                tuple(given[at].text for at in chosen),
                pairs=tuple(given[at].pair or "" for at in chosen) if are_pairs else None,
            )
            rows = encode(self.tokenizer, texts, self.kind, self.limit, prompt=self.prompt).rows
            found |= {at: Asked(row, at) for at, row in zip(chosen, rows, strict=True)}
        return [found[at] for at in range(len(given))]

    def answer(self, given: Given, asked: Sequence[Asked], outputs: Sequence[Numbers]) -> Answer:  # noqa: ARG002
        """Turn logits into probabilities, or tokens' vectors into one."""
        (output,) = outputs
        if self.kind == "embedding":
            mask = asked[0].row.get("attention_mask")
            counted = None if mask is None else torch.tensor([mask])
            return Answer(self.vector(torch.from_numpy(output)[None], counted)[0].numpy(), {})
        if not self.labels:
            return Answer(output, {})
        logits = torch.from_numpy(output)
        shares = logits.softmax(dim=-1) if self.kind == "classes" else logits.sigmoid()
        scores = dict(zip(self.labels, shares.tolist(), strict=True))
        return Answer(output, dict(sorted(scores.items(), key=lambda item: -item[1])))
