"""Answers as clients want to see them: labels with scores, vectors, parts of a text."""

from __future__ import annotations

from typing import Literal

import numpy as np

from prensa.server.front import Front
from prensa.serving.answers import Answer, Numbers, Span

Function = Literal["none", "sigmoid", "softmax"]
"""What is made of logits."""

FUNCTIONS: tuple[Function, ...] = ("none", "sigmoid", "softmax")


def predictions(front: Front, answer: Answer, function: Function | None = None) -> list[dict[str, object]]:
    """Return labels with their scores, the highest first.

    Without a ``function`` the scores are the model's own: probabilities of classes or labels, and its number
    where it gives one of no bounds.
    """
    scores = dict(answer.scores)
    if function is not None or not scores:
        numbers = _applied(answer.output, function or "none")
        scores = dict(zip(front.labels, numbers.tolist(), strict=True))
    highest_first = sorted(scores.items(), key=lambda item: -item[1])
    return [{"label": label, "score": score} for label, score in highest_first]


def relevance(answer: Answer, *, raw: bool) -> float:
    """Return how well two texts fit together: the model's number, or its sigmoid."""
    number = answer.output
    if not raw:
        number = _applied(number, "sigmoid")
    return float(number.reshape(-1)[0])


def vector(answer: Answer, *, normalize: bool, dimensions: int | None = None) -> list[float]:
    """Return the vector of a text, its first ``dimensions``, of length 1 if wanted."""
    numbers = answer.output[:dimensions].astype(np.float64)
    if normalize:
        # A vector of zeros has no direction, and stays as it is.
        numbers /= np.linalg.norm(numbers) or 1.0
    # As many digits as float32 has, and no more to send.
    listed: list[float] = numbers.astype(np.float32).tolist()
    return listed


def entity(span: Span) -> dict[str, object]:
    """Return a part of a text that was named, by the pipeline's words."""
    return {
        "entity_group": span.label,
        "score": span.score,
        "word": span.text,
        "start": span.start,
        "end": span.end,
    }


def found(answer: Answer) -> dict[str, object]:
    """Return the part of a context that answers a question; an empty one where there is none."""
    if not answer.spans:
        return {"answer": "", "score": 0.0, "start": 0, "end": 0}
    (span,) = answer.spans
    return {"answer": span.text, "score": span.score, "start": span.start, "end": span.end}


def _applied(logits: Numbers, function: Function) -> Numbers:
    numbers = logits.astype(np.float64)
    if function == "sigmoid":
        # By its tangent: no exponential overflows.
        numbers = (1 + np.tanh(numbers / 2)) / 2
    elif function == "softmax":
        exponentials = np.exp(numbers - numbers.max())
        numbers = exponentials / exponentials.sum()
    return numbers.astype(np.float32)
