"""How much of a label a result finds, with an interval: what a smallest recall is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, exact_interval, intervals
from prensa.evaluation.figures import Recall

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]


def recall_of(label: str, right: Floats, found: Floats, draws: Draws) -> Recall:
    """Return the recall of a label.

    ``right`` is how many things of each text have it ``[texts]``, and ``found`` how many of these are given
    it. The interval is exact (Clopper and Pearson) where a text is one thing. Where it may hold several, they
    have much in common, and whole texts are drawn; where all are found, or none, no resample differs, and the
    exact interval is that of as many texts as have the label.
    """
    has_label = right > 0
    texts = int(has_label.sum())
    if not texts:
        return Recall(label, None)
    value = float(found.sum() / right.sum())
    if value in {0, 1} or right.max() == 1:
        of_texts = round(value * texts)
        return Recall(label, value, exact_interval(of_texts, texts))

    def share(drawn: Ids) -> list[float]:
        things = right[drawn].sum()
        if not things:
            return [float("nan")]
        return [float(found[drawn].sum() / things)]

    (interval,) = intervals(share, len(right), Draws(draws.count))
    return Recall(label, value, interval)
