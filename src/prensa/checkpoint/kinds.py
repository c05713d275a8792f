"""What models do with texts, as plain values: nothing here needs PyTorch or ``transformers``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "classes",
    "multi-label",
    "regression",
    "tokens",
    "masked",
    "causal",
    "embedding",
    "questions",
    "writing",
]
"""What the outputs are.

``classes``      one of several labels for a text
``multi-label``  any number of labels for a text
``regression``   one number for a text
``tokens``       one of several labels for each word
``masked``       a word in place of a mask
``causal``       the next word
``embedding``    a vector for a text
``questions``    the part of a context that answers a question
``writing``      another text, which a decoder writes
"""

OF_A_TEXT: frozenset[Kind] = frozenset({"classes", "multi-label", "regression"})
"""The kinds whose head reads a whole text, from its first token or its last."""

ANSWERED: frozenset[Kind] = OF_A_TEXT | {"embedding", "tokens"}
"""The kinds that ``predict`` answers texts of."""

LANGUAGE: frozenset[Kind] = frozenset({"masked", "causal"})
"""The kinds of language models."""


class SharedLabel(str):
    """A label whose name several outputs have in ``config.json``; the later ones get a number (``other_1``).

    The ``shared`` name alone does not say which is meant.
    """

    __slots__ = ("shared",)
    shared: str


@dataclass(frozen=True)
class Task:
    """What a model is for. ``labels`` are in the order of their ids, empty if it has none.

    No two are the same: see :class:`SharedLabel`.
    """

    kind: Kind
    labels: tuple[str, ...] = ()


def without_duplicates(names: list[str]) -> tuple[str, ...]:
    """Give each name that was there before a number, one that makes it new."""
    labels: list[str] = []
    for name in names:
        label = name
        number = 0
        # A numbered name may be a label, too: two of ``other`` beside an ``other_1``.
        while label in labels or (number and label in names):
            number += 1
            label = f"{name}_{number}"
        if names.count(name) > 1:
            label = SharedLabel(label)
            label.shared = name
        labels.append(label)
    return tuple(labels)
