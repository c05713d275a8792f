"""Metrics of two models that are means over texts, or made of sums over them, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.classification import share_changed
from prensa.evaluation.figures import AGREEMENT, Drop, Figure, Metric, metric_of
from prensa.evaluation.outputs import Outputs

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


def right_texts(outputs: Outputs) -> list[list[str]]:
    """Return what would be right of each text, in words; nothing where that is not known."""
    right: list[list[str]] = []
    for label in outputs.texts.labels or ():
        right.append([str(text) for text in label])
    return right


class Scores(Protocol):
    """The metrics of one model on any of the texts."""

    def of(self, texts: Ids) -> dict[str, float]:
        """Compute the metrics of some texts, named more than once as often as they count."""


class Means:
    """Metrics that are means of one number for each text ``[texts]``, by their names."""

    def __init__(self, of_texts: Mapping[str, Floats]) -> None:
        """Keep the numbers."""
        self._names = list(of_texts)
        self._values = np.stack(list(of_texts.values()))

    def of(self, texts: Ids) -> dict[str, float]:
        """Return the mean of each metric over some texts."""
        means = self._values[:, texts].mean(axis=1)
        return dict(zip(self._names, means.tolist(), strict=True))


@dataclass(frozen=True)
class Sameness:
    """Which texts have the original's answer ``[texts]``, and the share of those that have not."""

    same: Flags
    changed: Drop

    @classmethod
    def of(cls, original: Sequence[str], result: Sequence[str]) -> Sameness:
        """Compare answers in words, letter by letter."""
        same = np.array([one == other for one, other in zip(original, result, strict=True)])
        # Of texts with one answer each the interval is exact, without any draw.
        return cls(same, share_changed(same, None, Draws(0)))

    @property
    def figure(self) -> Figure:
        """The share of the same answers."""
        low, high = self.changed.interval or (0.0, 1.0)
        return Figure(AGREEMENT, 1 - self.changed.value, is_share=True, interval=(1 - high, 1 - low))


def compare_scores(original: Scores, result: Scores, count: int, draws: Draws) -> tuple[Metric, ...]:
    """Return the metrics of both models on ``count`` texts, with intervals of the differences.

    Where no text's score changed no resample differs, and the interval is that of 0 changes in as many texts.
    """
    everything = np.arange(count)
    before = original.of(everything)
    after = result.of(everything)

    def differences(drawn: Ids) -> list[float]:
        one = original.of(drawn)
        other = result.of(drawn)
        return [other[name] - one[name] for name in one]

    metrics: list[Metric] = []
    for name, interval in zip(before, intervals(differences, count, draws), strict=True):
        metric = metric_of(
            name,
            before[name],
            after[name],
            interval,
            missing="not defined here",
            rests_on=count,
        )
        metrics.append(metric)
    return tuple(metrics)
