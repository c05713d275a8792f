"""Metrics of ranked passages, query by query: NDCG, reciprocal rank, average precision, recall.

They are computed by pytrec_eval, which is trec_eval, as BEIR's own numbers are: the gain of a passage is its
grade, and no passage behind the first 1,000 counts. What it is given are places, not scores: so passages with
the same score are in the order that Prensa gives them, and not in that of their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from prensa.errors import MissingPackageError
from prensa.evaluation.figures import MAP, MRR, NDCG, RECALL
from prensa.evaluation.first_k import DEFAULT_K, MOST, first_k
from prensa.extras import is_installed

Floats: TypeAlias = NDArray[np.float64]
Ids: TypeAlias = NDArray[np.integer]

DEPTH = MOST
"""Places that count at most."""

_KINDS = {
    "ndcg": NDCG,
    "ndcg cut": NDCG,
    "mrr": MRR,
    "recip rank": MRR,
    "reciprocal rank": MRR,
    "map": MAP,
    "mean average precision": MAP,
    "recall": RECALL,
}


@dataclass(frozen=True)
class RankMetric:
    """A metric, of the first ``k`` passages; of average precision ``k`` is 0, since all count."""

    kind: str
    k: int = 0

    @property
    def name(self) -> str:
        """``NDCG@10``."""
        if not self.k:
            return self.kind
        return f"{self.kind}@{self.k}"


USUAL = (RankMetric(NDCG, 10), RankMetric(MRR, 10), RankMetric(MAP), RankMetric(RECALL, 10))
"""What is always reported, the one that usually counts first."""


def rank_metric(word: str) -> RankMetric | None:
    """Return what is meant by ``ndcg@10``, ``NDCG_10``, ``mrr`` (10 without a number), else None."""
    found = first_k(word, _KINDS)
    if found is None:
        return None
    kind, k = found
    if kind == MAP:
        # Cut off it is another metric.
        return RankMetric(MAP) if k is None else None
    return RankMetric(kind, k or DEFAULT_K)


def reported(metric: str) -> tuple[RankMetric, ...]:
    """Return the metrics to report, the one of that name among them, whatever it is."""
    chosen = rank_metric(metric) if metric else None
    if chosen is None or chosen in USUAL:
        return USUAL
    return (chosen, *USUAL)


def check_installed(data: str) -> None:
    """Raise :class:`MissingPackageError`, with the name of the data, where no ranking can be judged."""
    if not is_installed("pytrec_eval"):
        raise MissingPackageError(
            f"{data}: ranking passages needs pytrec-eval-terrier, not installed here; run pip install "
            "pytrec-eval-terrier"
        )


def order_of(scores: Floats, grades: Ids) -> Ids:
    """Return passages in the order of their scores ``[passages]``, the highest first.

    Of passages with the same score the least relevant come first: a model that gives the same score to all
    has found nothing, however its data is sorted.
    """
    return np.lexsort((grades, -scores))


def per_query(orders: Sequence[Ids], grades: Sequence[Ids], metrics: Sequence[RankMetric]) -> Floats:
    """Return the metrics of each query ``[queries, metrics]``.

    ``orders`` are the passages of each query, the best first, and ``grades`` how relevant each passage is.
    Every query has a passage with a grade above 0.
    """
    from pytrec_eval import RelevanceEvaluator

    right: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for query, (order, own) in enumerate(zip(orders, grades, strict=True)):
        relevant = np.flatnonzero(own > 0)
        right[str(query)] = {str(passage): int(own[passage]) for passage in relevant}
        # The highest number comes first.
        run[str(query)] = {str(passage): float(-place) for place, passage in enumerate(order[:DEPTH])}
    found = RelevanceEvaluator(
        right, {_MEASURES[metric.kind].format(metric.k) for metric in metrics}
    ).evaluate(run)
    rows: list[list[float]] = []
    for query in range(len(orders)):
        rows.append([_value(metric, found[str(query)]) for metric in metrics])
    return np.array(rows)


_MEASURES = {NDCG: "ndcg_cut.{}", MRR: "recip_rank", MAP: "map", RECALL: "recall.{}"}


def _value(metric: RankMetric, measured: Mapping[str, float]) -> float:
    key = _MEASURES[metric.kind].format(metric.k).replace(".", "_")
    value = measured[key]
    # trec_eval looks for the first relevant passage however far behind.
    if metric.kind == MRR and value < 1 / metric.k - _ROUNDING:
        return 0.0
    return value


_ROUNDING = 1e-9
