"""Metrics equal trec_eval's of scores without ties, and their own definitions where scores are tied."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytrec_eval import RelevanceEvaluator

from prensa.errors import MissingPackageError
from prensa.evaluation.rank_metrics import (
    USUAL,
    RankMetric,
    check_installed,
    order_of,
    per_query,
    rank_metric,
    reported,
)

NEAR = 1e-12
SEEDS = st.integers(0, 10**6)
NDCG, MRR, MAP, RECALL = USUAL


def drawn(seed, *, ties=False):
    """Return the scores and grades of some queries' passages; each query has a relevant one."""
    rng = np.random.default_rng(seed)
    queries = []
    for _ in range(int(rng.integers(1, 5))):
        count = int(rng.integers(1, 30))
        # Each a different number that float32, which trec_eval keeps, tells from the others.
        scores = rng.permutation(count).astype(float)
        if ties:
            scores = np.floor(scores / rng.integers(1, 9))
        grades = rng.integers(0, 4, count) * (rng.random(count) < 0.4)
        grades[rng.integers(count)] = rng.integers(1, 4)
        queries.append((scores, grades))
    return queries


def computed(queries, metrics):
    orders = [order_of(scores, grades) for scores, grades in queries]
    return per_query(orders, [grades for _, grades in queries], metrics)


@settings(max_examples=200)
@given(SEEDS, st.integers(1, 20))
def test_metrics_are_those_of_trec_eval(seed, k):
    queries = drawn(seed)
    found = computed(queries, [RankMetric("NDCG", k), RankMetric("recall", k), MAP, RankMetric("MRR", k)])
    names = [f"ndcg_cut_{k}", f"recall_{k}", "map"]
    for (scores, grades), values in zip(queries, found, strict=True):
        relevance = {"q": {f"d{n}": int(grade) for n, grade in enumerate(grades)}}
        run = {"q": {f"d{n}": float(score) for n, score in enumerate(scores)}}
        theirs = RelevanceEvaluator(relevance, {f"ndcg_cut.{k}", f"recall.{k}", "map"}).evaluate(run)["q"]
        np.testing.assert_allclose(values[:3], [theirs[name] for name in names], rtol=0, atol=NEAR)
        # Theirs has no cut: of the first k alone it is that of a shorter run.
        first = dict(sorted(run["q"].items(), key=lambda item: -item[1])[:k])
        mrr = RelevanceEvaluator(relevance, {"recip_rank"}).evaluate({"q": first})["q"]["recip_rank"]
        assert abs(values[3] - mrr) <= NEAR


@settings(max_examples=200)
@given(SEEDS, st.integers(1, 20))
def test_metrics_are_what_their_definitions_say(seed, k):
    """Of tied scores, too: the least relevant passage stands first there."""
    queries = drawn(seed, ties=True)
    found = computed(queries, [RankMetric("NDCG", k), RankMetric("MRR", k), MAP, RankMetric("recall", k)])
    for (scores, grades), values in zip(queries, found, strict=True):
        order = sorted(range(len(scores)), key=lambda n: (-scores[n], grades[n]))
        ranked = [int(grades[n]) for n in order]
        ideal = sorted(ranked, reverse=True)
        places = [place for place, grade in enumerate(ranked, 1) if grade > 0]
        expected = [
            dcg(ranked[:k]) / dcg(ideal[:k]),
            1 / places[0] if places[0] <= k else 0.0,
            sum(number / place for number, place in enumerate(places, 1)) / len(places),
            sum(place <= k for place in places) / len(places),
        ]
        np.testing.assert_allclose(values, expected, rtol=0, atol=NEAR)


def dcg(grades):
    return sum(grade / math.log2(place + 1) for place, grade in enumerate(grades, 1))


def test_the_same_score_for_all_finds_nothing():
    grades = np.array([1, 0, 0, 0])  # however the data is sorted
    (values,) = computed([(np.zeros(4), grades)], [MRR, RankMetric("recall", 3)])
    assert values.tolist() == [0.25, 0.0]


def test_nothing_behind_the_first_thousand_counts():
    grades = np.zeros(1500, dtype=int)
    grades[[3, 1200]] = 1
    (values,) = computed([(-np.arange(1500.0), grades)], [MAP, RankMetric("recall", 1000)])
    assert values.tolist() == [0.125, 0.5]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("ndcg@10", "NDCG@10"),
        ("NDCG_5", "NDCG@5"),
        ("ndcg_cut_10", "NDCG@10"),
        ("ndcg", "NDCG@10"),
        ("mrr@10", "MRR@10"),
        ("MRR 3", "MRR@3"),
        ("recip_rank", "MRR@10"),
        ("map", "MAP"),
        ("Recall@100", "recall@100"),
        ("recall at 7", "recall@7"),
        ("recall10", "recall@10"),
    ],
)
def test_names(word, name):
    assert rank_metric(word).name == name


@pytest.mark.parametrize(
    "word", ["map@10", "recall@0", "recall@1001", "ndgc@10", "precision@10", "ndcg@-1", ""]
)
def test_names_that_are_none(word):
    assert rank_metric(word) is None


def test_what_ranks_may_be_missing(monkeypatch):
    monkeypatch.setattr("prensa.evaluation.rank_metrics.is_installed", lambda module: False)
    with pytest.raises(
        MissingPackageError, match="scifact: ranking passages needs pytrec-eval-terrier, not installed"
    ):
        check_installed("scifact")


def test_what_is_reported():
    assert [metric.name for metric in reported("")] == ["NDCG@10", "MRR@10", "MAP", "recall@10"]
    assert reported("MAP") == USUAL
    assert reported("recall@5")[0].name == "recall@5"
