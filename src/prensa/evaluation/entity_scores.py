"""Compare models of words by the entities that they mark: precision, recall and F1, of each type too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.entities import Scheme, Tallies
from prensa.evaluation.figures import (
    ENTITY_F1,
    ENTITY_PRECISION,
    ENTITY_RECALL,
    Metric,
    Recall,
    label_of,
    metric_of,
    of_label,
    without_label,
)
from prensa.evaluation.recalls import recall_of

Ids = NDArray[np.int64]

_NO_METRIC = {
    ENTITY_F1: "no text has such an entity, and no model gives one",
    ENTITY_RECALL: "no text has such an entity",
    ENTITY_PRECISION: "a model gives no such entity",
}


@dataclass(frozen=True)
class MarkedTexts:
    """The labels of each text's words ``[texts][words]``: the right ones, the original's, the result's."""

    scheme: Scheme
    truth: Sequence[Ids]
    original: Sequence[Ids]
    result: Sequence[Ids]

    @cached_property
    def before(self) -> Tallies:
        """The original's entities, counted."""
        return self.scheme.counted(self.truth, self.original)

    @cached_property
    def after(self) -> Tallies:
        """The result's entities, counted."""
        return self.scheme.counted(self.truth, self.result)


def entity_metrics(texts: MarkedTexts, draws: Draws) -> tuple[Metric, ...]:
    """Return F1, recall and precision of all entities, and of each type.

    For the intervals whole texts are drawn; what no draw can change has that of 0 changes in as many texts.
    """
    everything = np.arange(len(texts.truth))
    before = _named(texts.before, texts.scheme.types, everything)
    after = _named(texts.after, texts.scheme.types, everything)

    def differences(drawn: Ids) -> list[float]:
        one = _named(texts.before, texts.scheme.types, drawn)
        other = _named(texts.after, texts.scheme.types, drawn)
        return [other[name] - one[name] for name in one]

    of_metrics = intervals(differences, len(everything), draws)
    rests_on = _rests_on(texts)
    metrics: list[Metric] = []
    for name, interval in zip(before, of_metrics, strict=True):
        metric = metric_of(
            name,
            before[name],
            after[name],
            interval,
            missing=_NO_METRIC[without_label(name)],
            rests_on=rests_on[name],
        )
        metrics.append(metric)
    return tuple(metrics)


def entity_recalls(texts: MarkedTexts, metrics: Mapping[str, str], draws: Draws) -> tuple[Recall, ...]:
    """Return how much the result finds of some types: ``metrics`` by the words that they were named with."""
    recalls: list[Recall] = []
    for name, metric in metrics.items():
        column = texts.scheme.types.index(label_of(metric))
        recalls.append(recall_of(name, texts.after.right[:, column], texts.after.found[:, column], draws))
    return tuple(recalls)


def _named(tallies: Tallies, types: Sequence[str], texts: Ids) -> dict[str, float]:
    """Return the metrics of some texts by their names: of all entities first, then of each type."""
    counts = tallies.over(texts)
    of_kinds = {ENTITY_F1: counts.f1, ENTITY_RECALL: counts.recall, ENTITY_PRECISION: counts.precision}
    metrics = {kind: float(values[-1]) for kind, values in of_kinds.items()}
    for index, name in enumerate(types):
        for kind, values in of_kinds.items():
            metrics[of_label(kind, name)] = float(values[index])
    return metrics


def _rests_on(texts: MarkedTexts) -> dict[str, int]:
    """Return how many texts each metric rests on: those with entities that are right, given, or either."""
    counts: dict[str, int] = {}
    types = list(enumerate(texts.scheme.types))
    # Of all types together first, which have no name.
    columns = [("", [index for index, _ in types])]
    columns += [(name, [index]) for index, name in types]
    for name, some in columns:
        right = texts.before.right[:, some].any(axis=1)
        given = texts.before.given[:, some].any(axis=1)
        counts[_of_type(ENTITY_RECALL, name)] = int(right.sum())
        counts[_of_type(ENTITY_PRECISION, name)] = int(given.sum())
        counts[_of_type(ENTITY_F1, name)] = int((right | given).sum())
    return counts


def _of_type(kind: str, name: str) -> str:
    return of_label(kind, name) if name else kind
