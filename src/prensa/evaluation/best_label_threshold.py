"""The threshold by which a label is found best: chosen on one half of the texts, for the other half to judge.

A threshold that is chosen on the texts that it is judged on looks better than it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.evaluation.halves import Halves, halve_texts
from prensa.evaluation.label_scores import flags
from prensa.texts.columns import Texts

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]
Ids = NDArray[np.int64]

# A threshold is a number that people copy: no more digits than tell the probabilities beside it apart.
_DIGITS = 6


def best_threshold(applies: Flags, probabilities: Floats) -> float:
    """Return the threshold above which a label's F1 is highest; of several such the highest.

    ``applies`` says which texts have the label, at least one, and ``probabilities`` how likely a model finds
    it ``[texts]``. The threshold lies between the least likely text that is given the label and the next one.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    found = np.cumsum(applies[order])
    given = np.arange(1, len(ranked) + 1)
    f1 = 2 * found / (given + applies.sum())
    # Texts with the same probability are all given the label, or none of them.
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    best = int(ends[f1[ends].argmax()])
    above = float(ranked[best])
    below = 0.0
    if best + 1 < len(ranked):
        below = float(ranked[best + 1])
    return _between(below, above)


def _between(below: float, above: float) -> float:
    """Return a number of few digits from ``below`` on, and below ``above``."""
    middle = (below + above) / 2
    short = round(middle, _DIGITS)
    if below <= short < above:
        return short
    # Two numbers side by side have nothing between them.
    return middle if middle < above else below


def dealt_out(texts: Texts, chosen: Sequence[int], task: Task) -> Halves:
    """Deal texts out: ``search`` to choose the thresholds of the labels ``chosen`` on, ``check`` to judge.

    Raises :class:`DataError` where the texts have no right answers, are too few, or a half of them has no
    text with one of the labels.
    """
    if texts.labels is None:
        raise DataError(
            f"{texts.name}: thresholds (`label_threshold=auto`) are chosen by right answers; name their "
            "column in `label_column`"
        )
    halves = halve_texts(texts, most=None, purpose="to choose thresholds on one half and judge on the other")
    applies = flags(np.stack(texts.labels).astype(np.int64, copy=False), len(task.labels))
    for label in chosen:
        for half, use in ((halves.search, "chosen"), (halves.check, "judged")):
            if not applies[half, label].any():
                raise DataError(
                    f"{texts.name}: none of the {len(half):,} texts on which the threshold of "
                    f"{task.labels[label]} (`label_threshold=auto`) is {use} has that label; give more texts "
                    "that have it, or a number in place of auto"
                )
    return halves
