"""How sure a classifier is of an answer, from its own probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import Kind
from prensa.errors import ModelError

Margins = NDArray[np.float64]
"""From 0 for undecided to 1 for certain, -1 for no number at all: ``[texts]``."""

CLASSIFIES: tuple[Kind, ...] = ("classes", "multi-label")
"""The kinds of tasks whose answers have margins."""

# Below any threshold: such an answer is never kept.
_NO_NUMBER = -1.0


def check_has_margins(path: object, kind: Kind | None) -> None:
    """Raise :class:`ModelError` for a model whose answers are no choice between labels."""
    if kind in CLASSIFIES:
        return
    found = kind or "another task"
    raise ModelError(
        f"{path}: a cascade needs a classifier of texts, found {found}, whose answers have no margin that "
        "says how sure they are; use one model alone"
    )


def margins(kind: Kind, outputs: Sequence[NDArray[np.floating]]) -> Margins:
    """Return how sure a model is of its answers, from logits ``[labels]`` of each text.

    Of classes it is the margin between the two highest probabilities. Of several labels each is a choice of
    two, yes and no, and the one that is least sure counts: an answer is the same if all labels are.
    """
    if not len(outputs):
        return np.zeros(0)
    logits = np.stack(outputs).astype(np.float64)
    if kind == "classes":
        sure = _between_classes(logits)
    else:
        # The sigmoid's distance from its opposite, 2p - 1, is a hyperbolic tangent, which never overflows.
        sure = np.tanh(np.abs(logits) / 2).min(axis=1)
    return np.where(np.isfinite(logits).all(axis=1), sure, _NO_NUMBER)


def _between_classes(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # What is no number is replaced here and marked by the caller, so that nothing warns.
    safe = np.nan_to_num(logits, posinf=0.0, neginf=0.0)
    shares = np.exp(safe - safe.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    highest = np.sort(shares, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0])


def unsure(sure: Margins, threshold: float) -> list[int]:
    """Return which texts a model is not sure enough of to answer by itself."""
    return [int(index) for index in np.flatnonzero(sure < threshold)]
