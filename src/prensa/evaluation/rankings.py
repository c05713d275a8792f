"""Compare models by the order in which they put passages for queries: rerankers and embedders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation import embeddings
from prensa.evaluation.bootstrap import Draws, exact_interval, intervals
from prensa.evaluation.classification import drop_of
from prensa.evaluation.figures import Figure, Metric, Quality, metric_of
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.predict import Output
from prensa.evaluation.rank_changes import list_changes
from prensa.evaluation.rank_metrics import DEPTH, USUAL, RankMetric, order_of, per_query, reported
from prensa.evaluation.similarity import similarities
from prensa.sharing import WITHOUT_WARNINGS
from prensa.texts.columns import Texts
from prensa.texts.queries import NEITHER, Queries

Floats = NDArray[np.float64]
Ids = NDArray[np.integer]

_FIRST = 10
_AT_A_TIME = 256
_FEWEST = 2
_CLASSES = 2


@dataclass(frozen=True)
class Candidates:
    """The passages of one query.

    ``query`` is where a text of it stands, ``rows`` where the texts of its passages do, and ``grades`` say
    how relevant each of them is.
    """

    query: int
    rows: Ids
    grades: Ids


def compare_rankings(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the orders of passages; judged by NDCG@10 unless the terms name another metric.

    Each metric is computed once for each query, and its interval is that of resampled queries.
    """
    candidates = candidates_in(outputs.texts)
    if len(candidates) < _FEWEST:
        return Quality()
    grades = [each.grades for each in candidates]
    before = _orders(outputs, outputs.original, candidates)
    after = _orders(outputs, outputs.result, candidates)
    chosen = reported(outputs.terms.metric)
    metrics = _metrics(chosen, per_query(before, grades, chosen), per_query(after, grades, chosen), draws)
    figures = [*_same_places(before, after), *_nearness(outputs)]
    amounts, listed = list_changes(outputs.texts, candidates, before, after)
    return Quality(
        drop=drop_of(metrics, outputs.terms.metric or USUAL[0].name),
        metrics=metrics,
        figures=tuple(figures),
        disagreement=amounts,
        disagreements=listed,
        queries=len(candidates),
    )


def candidates_in(texts: Texts) -> list[Candidates]:
    """Return the passages of each query.

    Queries whose relevant passages are not all among the texts are left out, as after an interruption.
    """
    queries = texts.queries
    if queries is None:
        return []
    if texts.pairs is None:
        return _of_all(queries)
    rows_of: dict[int, list[int]] = {}
    for row, number in enumerate(queries.query_of):
        rows_of.setdefault(number, []).append(row)
    found: list[Candidates] = []
    for number, rows in rows_of.items():
        columns = {queries.passage_of[row]: column for column, row in enumerate(rows)}
        grades = _grades(queries, number, columns)
        if grades is not None:
            found.append(Candidates(rows[0], np.array(rows), grades))
    return found


def _of_all(queries: Queries) -> list[Candidates]:
    """Return queries of which each has all passages."""
    rows = np.array([row for row, number in enumerate(queries.query_of) if number == NEITHER], dtype=np.int64)
    columns = {queries.passage_of[row]: column for column, row in enumerate(rows.tolist())}
    found: list[Candidates] = []
    for row, number in enumerate(queries.query_of):
        if number == NEITHER:
            continue
        grades = _grades(queries, number, columns)
        if grades is not None:
            found.append(Candidates(row, rows, grades))
    return found


def _grades(queries: Queries, number: int, columns: Mapping[int, int]) -> Ids | None:
    """Return how relevant each passage of a query is; None where a relevant one is not among them.

    ``columns`` are the places of the passages, by their numbers.
    """
    grades = np.zeros(len(columns), dtype=np.int32)
    for passage, grade in queries.grades[number].items():
        # Below 0, too, a passage is not relevant.
        if grade <= 0:
            continue
        if passage not in columns:
            return None
        grades[columns[passage]] = grade
    return grades


def _orders(outputs: Outputs, given: Sequence[Output], candidates: Sequence[Candidates]) -> list[Ids]:
    """Return the passages of each query in a model's order, as many as count."""
    orders: list[Ids] = []
    numbers = np.stack(given).astype(np.float64)
    if outputs.task.kind != "embedding":
        numbers = relevance(numbers)
        for each in candidates:
            orders.append(order_of(numbers[each.rows], each.grades)[:DEPTH])
        return orders
    # Every query has the same passages. Some queries at a time: a large data set has thousands of them.
    passages = numbers[candidates[0].rows]
    for start in range(0, len(candidates), _AT_A_TIME):
        some = candidates[start : start + _AT_A_TIME]
        queries = numbers[[each.query for each in some]]
        near = similarities(queries, passages, outputs.terms.similarity)
        for scores, each in zip(near, some, strict=True):
            orders.append(order_of(scores, each.grades)[:DEPTH])
    return orders


def relevance(logits: Floats) -> Floats:
    """Return one number for each pair ``[pairs]``: its own, or how much likelier the second class is."""
    if logits.shape[1] == _CLASSES:
        return np.asarray(logits[:, 1] - logits[:, 0])
    return np.asarray(logits[:, 0])


def _metrics(
    metrics: Sequence[RankMetric], before: Floats, after: Floats, draws: Draws
) -> tuple[Metric, ...]:
    difference = after - before

    def mean(drawn: Ids) -> list[float]:
        means: list[float] = difference[drawn].mean(axis=0).tolist()
        return means

    found: list[Metric] = []
    for column, (metric, interval) in enumerate(
        zip(metrics, intervals(mean, len(difference), draws), strict=True)
    ):
        found.append(
            metric_of(
                metric.name,
                float(before[:, column].mean()),
                float(after[:, column].mean()),
                interval,
                missing="",
                rests_on=len(difference),
            )
        )
    return tuple(found)


def _same_places(before: Sequence[Ids], after: Sequence[Ids]) -> list[Figure]:
    """Say for how many queries the first passage stayed, and how many of the first ten did."""
    same_first = sum(int(one[0] == other[0]) for one, other in zip(before, after, strict=True))
    shares: list[float] = []
    for one, other in zip(before, after, strict=True):
        kept = np.intersect1d(one[:_FIRST], other[:_FIRST])
        shares.append(len(kept) / len(one[:_FIRST]))
    count = len(before)
    return [
        Figure(
            "same first passage",
            same_first / count,
            is_share=True,
            interval=exact_interval(same_first, count),
        ),
        Figure("first ten passages that stay", float(np.mean(shares)), is_share=True),
    ]


def _nearness(outputs: Outputs) -> list[Figure]:
    """Compare vectors or scores themselves with the original's."""
    before = np.stack(outputs.original).astype(np.float64)
    after = np.stack(outputs.result).astype(np.float64)
    if outputs.task.kind == "embedding":
        cosines = embeddings.cosines(before, after)
        return [
            Figure("mean cosine", float(cosines.mean())),
            Figure("smallest cosine", float(cosines.min())),
        ]
    from scipy.stats import spearmanr

    with WITHOUT_WARNINGS:
        correlation = float(spearmanr(relevance(before), relevance(after)).statistic)
    # Of numbers that are all the same there is none.
    if np.isnan(correlation):
        return []
    return [Figure("Spearman correlation with the original", correlation)]
