"""Compare language models by how well they foresee text, from the sums that ``predict`` keeps of each text.

Bits per byte stand beside perplexity because they do not depend on the vocabulary: a pass that changes the
tokens cannot flatter them. For a masked model they are the bits per byte of what was masked.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.figures import BITS, Drop, Figure, Quality, metric_of
from prensa.evaluation.predict import SUMS

Sums = NDArray[np.generic]
"""``[texts, len(SUMS)]``"""

PERPLEXITY = "perplexity"
_COLUMN = {name: index for index, name in enumerate(SUMS)}
# Nats whose exponential is still a number.
_LARGEST = 700
_NOTHING = "no text has anything to predict, or the model foresees nothing at all"


def compare(original: Sums, result: Sums, draws: Draws) -> Quality:
    """Compare the sums of the same texts; judged by the relative increase of bits per byte."""

    def differences(texts: NDArray[np.int64]) -> list[float]:
        before = scores(original[texts])
        after = scores(result[texts])
        numbers = [after[name] - before[name] for name in before]
        numbers.append(_ratio(before[BITS], after[BITS]))
        return numbers

    before = scores(original)
    after = scores(result)
    *of_metrics, of_ratio = intervals(differences, len(original), draws)
    metrics = []
    for name, interval in zip(before, of_metrics, strict=True):
        metric = metric_of(
            name,
            before[name],
            after[name],
            interval,
            missing=_NOTHING,
            higher_is_better=False,
            is_share=False,
        )
        metrics.append(metric)
    rise = _ratio(before[BITS], after[BITS])
    drop = None
    if not math.isnan(rise):
        drop = Drop(BITS, rise, of_ratio)
    return Quality(drop=drop, metrics=tuple(metrics), figures=_figures(result))


def scores(sums: Sums) -> dict[str, float]:
    """Compute perplexity (of a token) and bits per byte, over all texts together; NaN if undefined."""
    nats = _total(sums, "nats")
    tokens = _total(sums, "pieces")
    nbytes = _total(sums, "bytes")
    perplexity = math.nan
    if tokens and nats / tokens < _LARGEST:
        perplexity = math.exp(nats / tokens)
    bits = math.nan
    if nbytes:
        bits = nats / math.log(2) / nbytes
    return {PERPLEXITY: perplexity, BITS: bits}


def mean_divergences(sums: Sums) -> NDArray[np.floating]:
    """Return the mean divergence of a token, for each text ``[texts]``."""
    # A text without anything to predict has no divergence either: 0 / 1.
    tokens = np.maximum(1, _column(sums, "pieces"))
    return np.asarray(_column(sums, "divergence") / tokens)


def describe(sums: Sums) -> str:
    """``2.31 bits per byte``, of one text."""
    bits = scores(sums[None])[BITS]
    return f"{bits:.3f} {BITS}"


def _figures(sums: Sums) -> tuple[Figure, ...]:
    tokens = _total(sums, "pieces")
    if not tokens:
        return ()
    same = _total(sums, "same") / tokens
    mean = _total(sums, "divergence") / tokens
    largest = float(_column(sums, "largest divergence").max())
    shift = float(_column(sums, "largest shift").max())
    return (
        Figure("same most likely token", same, is_share=True),
        Figure("mean divergence (KL, nats)", mean),
        Figure("largest divergence (KL, nats)", largest),
        Figure("largest change of a probability", shift, is_share=True),
    )


def _column(sums: Sums, name: str) -> NDArray[np.floating]:
    return np.asarray(sums[:, _COLUMN[name]])


def _total(sums: Sums, name: str) -> float:
    return float(_column(sums, name).sum())


def _ratio(before: float, after: float) -> float:
    if not before:
        return math.nan
    return after / before - 1
