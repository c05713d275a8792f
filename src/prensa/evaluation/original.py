"""What the original's own answers are worth as a measure.

A result that agrees with an original which answers every text alike, or which guesses, has proved nothing:
two random models agree that far. Each function here finds one such case; none of them measures the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import LANGUAGE, Kind
from prensa.errors import ModelError
from prensa.evaluation.classification import Answers, answers
from prensa.evaluation.figures import Alike, Guessing, Quality
from prensa.evaluation.label_thresholds import Thresholds
from prensa.evaluation.predict import SUMS, Output

Array = NDArray[Any]

SAME_TO_ALL = (
    "the original gives the same answer to every text, so that nothing can be judged by it: its weights or "
    "its tokenizer may be broken, or the texts are all the same"
)
"""What is reported of an original that is constant."""

_CHOOSING: frozenset[Kind] = frozenset({"classes", "multi-label", "tokens"})
# One answer alone is neither like nor unlike others.
_COMPARABLE = 2
_ROUNDING = 1e-4  # of the largest number: batches of other lengths are summed in another order
_SIGNIFICANT = 1.645  # standard deviations that chance exceeds once in twenty times


def check_finite(path: Path, outputs: Sequence[Output]) -> None:
    """Raise :class:`ModelError` where the original gives NaN or infinity on any text."""
    broken = sum(not np.isfinite(output).all() for output in outputs)
    if broken:
        raise ModelError(
            f"{path}: the original gives no number (NaN or infinity) on {broken:,} of "
            f"{len(outputs):,} texts; there is nothing to compare with"
        )


def check_not_constant(path: Path, quality: Quality) -> None:
    """Raise :class:`ModelError` where the original of a comparison answers every text alike."""
    if quality.alike == "constant":
        raise ModelError(f"{path}: {SAME_TO_ALL}")


def likeness(kind: Kind, outputs: Sequence[Output], thresholds: Thresholds | None = None) -> Alike:
    """Say whether an original answers every text alike; one text alone is never said to be.

    ``thresholds`` are those from which on a classifier's labels are given, None for the usual ones.
    Of language models this finds those that foresee every token equally badly, as with weights of zeros.
    """
    if len(outputs) < _COMPARABLE:
        return ""
    if kind == "writing":
        return "constant" if all(np.array_equal(output, outputs[0]) for output in outputs) else ""
    rows = _of_language(outputs) if kind in LANGUAGE else np.concatenate([np.atleast_2d(o) for o in outputs])
    rows = rows.astype(np.float64)
    if len(rows) < _COMPARABLE:
        return ""
    if float(np.ptp(rows, axis=0).max()) <= _ROUNDING * float(np.abs(rows).max()):
        return "constant"
    if kind not in _CHOOSING:
        return ""
    chosen = answers(outputs, many=kind == "multi-label", thresholds=thresholds).chosen
    return "one-sided" if (chosen == chosen[0]).all() else ""


def _of_language(outputs: Sequence[Output]) -> Array:
    """Return what a model needs for a token, in nats: a column, of texts with anything to predict."""
    sums: NDArray[np.float64] = np.stack(outputs).astype(np.float64, copy=False)
    nats = sums[:, SUMS.index("nats")]
    tokens = sums[:, SUMS.index("pieces")]
    has_tokens = tokens > 0
    per_token = nats[has_tokens] / tokens[has_tokens]
    return np.asarray(per_token[:, None])


def guessing(truth: Array, given: Answers) -> Guessing | None:
    """Return the accuracy of answers that are right no more often than if they were shuffled, else None.

    That is asked instead of the share of the most frequent label: where one label is rare a good model may be
    right less often than that. The mean and the variance of the number of right answers over all ways to
    shuffle them are known (those of a multivariate hypergeometric distribution, as for Cohen's kappa: Fleiss,
    Cohen and Everitt 1969). With several labels for each text they are counted label by label.
    """
    columns = [(truth, given.chosen)]
    if given.many:
        columns = list(zip(truth.T, given.chosen.T, strict=True))
    right = mean = variance = 0.0
    for own, chosen in columns:
        right += float((own == chosen).sum())
        more_mean, more_variance = _when_shuffled(own, chosen)
        mean, variance = mean + more_mean, variance + more_variance
    if right > mean + _SIGNIFICANT * math.sqrt(variance):
        return None
    count = len(truth) * len(columns)
    return Guessing(right / count, mean / count)


def _when_shuffled(truth: Array, chosen: Array) -> tuple[float, float]:
    """Return the mean and the variance of the number of right answers when they are shuffled."""
    count = len(truth)
    labels = int(max(truth.max(), chosen.max())) + 1
    t, c = (np.bincount(ids.astype(np.int64), minlength=labels).astype(float) for ids in (truth, chosen))
    both = float((t * c).sum())
    mean = both / count
    if count < _COMPARABLE:
        return mean, 0.0
    spread = both**2 + count**2 * both - count * float((t * c * (t + c)).sum())
    return mean, max(0.0, spread) / (count**2 * (count - 1))
