"""What a server's model does, and so which routes it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from prensa.checkpoint.kinds import Kind
from prensa.serving.answers import Answering

Does = Literal["classifies", "scores", "embeds", "finds words", "finds answers"]
"""``classifies`` by one or several labels, ``scores`` a text or a pair with one number, makes ``embeds``
vectors, ``finds words`` of a text or ``finds answers`` to a question."""

_DOES: Mapping[Kind, Does] = {
    "classes": "classifies",
    "multi-label": "classifies",
    "regression": "scores",
    "embedding": "embeds",
    "tokens": "finds words",
}

_EVERYWHERE = (
    "GET /",
    "POST /",
    "GET /health",
    "GET /info",
    "GET /metrics",
    "POST /tokenize",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/{name}",
    "GET /v2/models/{name}/ready",
    "POST /v2/models/{name}/infer",
)
"""Routes that any model has."""

_OF_TASKS: Mapping[Does, tuple[str, ...]] = {
    "classifies": ("POST /predict",),
    "scores": ("POST /predict", "POST /rerank"),
    "embeds": ("POST /embed",),
    "finds words": (),
    "finds answers": (),
}


def does(answering: Answering, labels: int) -> Does:
    """Return what a model does that answers so, with so many labels.

    One label is a score, however it is trained: a cross-encoder is that.
    """
    if answering.wanted == "questions":
        return "finds answers"
    done = _DOES[answering.kind]
    if done == "classifies" and labels == 1:
        return "scores"
    return done


def routes_of(what: Does, name: str) -> list[str]:
    """List the routes of a model called ``name``."""
    routes = [*_EVERYWHERE, *_OF_TASKS[what]]
    return [route.format(name=name) for route in sorted(routes, key=lambda route: route.split(" ")[::-1])]
