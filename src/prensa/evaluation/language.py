"""Compare language models by how well they foresee text, from the sums that ``predict`` keeps of each text.

Bits per byte stand beside perplexity because they do not depend on the vocabulary: a pass that changes the
pieces of text cannot flatter them. For a masked model they are the bits per byte of what was masked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.predict import SUMS
from prensa.evaluation.results import BITS, Drop, Figure, Metric, Quality

Array = NDArray[Any]

PERPLEXITY = "perplexity"
_COLUMN = {name: index for index, name in enumerate(SUMS)}
_LARGEST = 700  # nats whose exponential is still a number
_NOTHING = "no text has anything to predict, or the model foresees nothing at all"


def compare(original: Array, result: Array, draws: Draws) -> Quality:
    """Compare sums ``[texts, len(SUMS)]``; judged by the relative increase of bits per byte."""

    def numbers(texts: Array) -> list[float]:
        before, after = scores(original[texts]), scores(result[texts])
        return [after[name] - before[name] for name in before] + [_ratio(before[BITS], after[BITS])]

    before, after = scores(original), scores(result)
    *found, of_ratio = intervals(numbers, len(original), draws)
    metrics = tuple(
        Metric(
            name,
            None if math.isnan(before[name]) else before[name],
            None if math.isnan(after[name]) else after[name],
            interval,
            higher_is_better=False,
            is_share=False,
            note=_NOTHING if math.isnan(before[name] + after[name]) else "",
        )
        for name, interval in zip(before, found, strict=True)
    )
    rise = _ratio(before[BITS], after[BITS])
    drop = None if math.isnan(rise) else Drop(BITS, rise, of_ratio)
    return Quality(drop=drop, metrics=metrics, figures=_figures(result))


def scores(sums: Array) -> dict[str, float]:
    """Perplexity (a piece) and bits per byte of text, over all texts together."""
    nats, pieces, nbytes = (float(_column(sums, name).sum()) for name in ("nats", "pieces", "bytes"))
    return {
        PERPLEXITY: math.exp(nats / pieces) if pieces and nats / pieces < _LARGEST else math.nan,
        BITS: nats / math.log(2) / nbytes if nbytes else math.nan,
    }


def mean_divergences(sums: Array) -> Array:
    """Return the mean divergence of a piece, for each text."""
    return np.asarray(_column(sums, "divergence") / np.maximum(1, _column(sums, "pieces")))


def describe(sums: Array) -> str:
    """``2.31 bits per byte``, of one text."""
    return f"{scores(sums[None])[BITS]:.3f} {BITS}"


def _figures(sums: Array) -> tuple[Figure, ...]:
    pieces = float(_column(sums, "pieces").sum())
    if not pieces:
        return ()
    return (
        Figure("same likeliest piece", float(_column(sums, "same").sum()) / pieces, is_share=True),
        Figure("mean divergence (KL, nats)", float(_column(sums, "divergence").sum()) / pieces),
        Figure("largest divergence (KL, nats)", float(_column(sums, "largest divergence").max())),
        Figure("largest change of a probability", float(_column(sums, "largest shift").max()), is_share=True),
    )


def _column(sums: Array, name: str) -> Array:
    return np.asarray(sums[:, _COLUMN[name]])


def _ratio(before: float, after: float) -> float:
    return after / before - 1 if before else math.nan
