import dataclasses

import numpy as np
import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.quality import compare
from prensa.evaluation.rankings import candidates_in
from prensa.evaluation.terms import Terms
from prensa.texts.collection import Collection, texts_in_collection

RERANKER, EMBEDDER = Task("regression"), Task("embedding")
PASSAGES = {f"p{n}": f"passage {n}" for n in range(12)}
QUERIES = {f"q{n}": f"query {n}" for n in range(30)}
GRADES = {f"q{n}": {f"p{n % 12}": 2, f"p{(n + 5) % 12}": 1, f"p{(n + 1) % 12}": 0} for n in range(30)}
SOME = Collection("some", QUERIES, PASSAGES, GRADES, has_corpus=True, account="")
DRAWS = Draws(200)


def scored(texts, noise, seed=0):
    """Answer as a reranker that is right but for noise."""
    rng = np.random.default_rng(seed)
    given = []
    for query, passage in zip(texts.queries.query_of, texts.queries.passage_of, strict=True):
        grade = texts.queries.grades[query].get(passage, 0)
        given.append(np.array([grade + noise * rng.normal()], dtype=np.float32))
    return given


def embedded(texts, noise, seed=0):
    """Answer as an embedder does whose passages lie near to their queries but for noise."""
    rng = np.random.default_rng(seed)
    own = np.random.default_rng(9).normal(size=(12, 24))
    given = []
    for query, passage in zip(texts.queries.query_of, texts.queries.passage_of, strict=True):
        clean = own[passage]
        if passage < 0:
            clean = sum(grade * own[each] for each, grade in texts.queries.grades[query].items())
        given.append((clean + noise * rng.normal(size=24)).astype(np.float32))
    return given


def outputs(task, texts, before, after, **terms):
    return Outputs(task, texts, (), before, after, Terms(**terms))


def test_a_reranker():
    texts = texts_in_collection(SOME, RERANKER)
    quality = compare(outputs(RERANKER, texts, scored(texts, 0.1), scored(texts, 1.0)), DRAWS)
    assert [metric.name for metric in quality.metrics] == ["NDCG@10", "MRR@10", "MAP", "recall@10"]
    first = quality.metrics[0]
    assert first.original > 0.95 > first.result
    assert quality.drop.of == "NDCG@10"
    assert quality.drop.value == -first.difference
    assert quality.drop.interval[0] < quality.drop.value < quality.drop.interval[1]
    assert quality.queries == 30
    assert [figure.name for figure in quality.figures][-1] == "Spearman correlation with the original"


def test_a_reranker_of_two_classes_is_ordered_by_the_second():
    task = Task("classes", ("no", "yes"))
    texts = texts_in_collection(SOME, task)
    one = scored(texts, 0.5)
    two = [np.array([0.3 - each[0], 0.3 + each[0]], dtype=np.float32) for each in one]
    quality = compare(outputs(task, texts, two, two), DRAWS)
    alone = compare(outputs(RERANKER, texts, one, one), DRAWS)
    assert [each.original for each in quality.metrics] == [each.original for each in alone.metrics]
    # Its answer is "no" to all pairs, which says nothing of their order.
    unsure = [each - np.array([0, 9], dtype=np.float32) for each in two]
    shifted = compare(outputs(task, texts, unsure, unsure), DRAWS)
    assert shifted.alike == ""
    assert [each.original for each in shifted.metrics] == [each.original for each in alone.metrics]
    same = [np.zeros(2, dtype=np.float32)] * len(texts)
    assert compare(outputs(task, texts, same, two), DRAWS).alike == "constant"


def test_an_embedder():
    texts = texts_in_collection(SOME, EMBEDDER)
    before, after = embedded(texts, 0.0), embedded(texts, 0.6)
    quality = compare(outputs(EMBEDDER, texts, before, after, metric="recall@3"), DRAWS)
    assert quality.drop.of == "recall@3" == quality.metrics[0].name
    assert quality.metrics[0].original > quality.metrics[0].result
    assert [figure.name for figure in quality.figures] == [
        "same first passage",
        "first ten passages that stay",
        "mean cosine",
        "smallest cosine",
    ]


def test_the_drop_is_that_of_the_chosen_metric():
    texts = texts_in_collection(SOME, RERANKER)
    before, after = scored(texts, 0.1), scored(texts, 1.0)
    for name in ("NDCG@10", "MRR@10", "MAP", "recall@10", "NDCG@3"):
        quality = compare(outputs(RERANKER, texts, before, after, metric=name), DRAWS)
        by_name = {metric.name: metric for metric in quality.metrics}
        assert quality.drop.of == name
        assert quality.drop.value == 0.0 - by_name[name].difference


def test_the_similarity_of_the_model_ranks():
    texts = texts_in_collection(SOME, EMBEDDER)
    vectors = embedded(texts, 0.0)
    # A passage twice as long as the others is nearest by the product, and as before by the angle.
    longer = [*vectors[:30], vectors[30] * 20, *vectors[31:]]
    by_angle = compare(outputs(EMBEDDER, texts, vectors, longer), DRAWS)
    by_product = compare(outputs(EMBEDDER, texts, vectors, longer, similarity="dot"), DRAWS)
    assert by_angle.drop.value == 0
    assert by_product.drop.value > 0.05


def test_nothing_changed():
    texts = texts_in_collection(SOME, RERANKER)
    given = scored(texts, 0.5)
    quality = compare(outputs(RERANKER, texts, given, given), DRAWS)
    assert quality.drop.value == 0
    assert quality.drop.none_changed
    low, high = quality.drop.interval
    assert low == -high
    assert high == pytest.approx(1 - 0.025 ** (1 / 30))  # that of 0 of 30 queries
    assert quality.disagreements == ()


def test_queries_are_resampled_for_both_models():
    texts = texts_in_collection(SOME, RERANKER)
    quality = compare(outputs(RERANKER, texts, scored(texts, 0.5), scored(texts, 0.5, seed=1)), DRAWS)
    alone = [compare(each, Draws(0)) for each in of_each_query(texts)]
    differences = np.array([each.metrics[0].difference for each in alone])
    # A comparison needs two queries: each stood beside a first one that no model changes.
    differences *= 2
    (expected,) = intervals(lambda drawn: [differences[drawn].mean()], 30, DRAWS)
    np.testing.assert_allclose(quality.metrics[0].interval, expected, atol=1e-12)


def of_each_query(texts):
    before, after = scored(texts, 0.5), scored(texts, 0.5, seed=1)
    for number in texts.queries.numbers:
        rows = texts.queries.texts_of([number])
        other = texts.queries.texts_of([(number + 1) % 30])
        indices = [*rows, *other]
        same = [before[index] for index in other]
        yield outputs(
            RERANKER,
            texts.take(indices),
            [before[index] for index in indices],
            [*(after[index] for index in rows), *same],
        )


def test_what_changed_is_shown_with_its_places():
    texts = texts_in_collection(SOME, RERANKER)
    before = scored(texts, 0.0)
    after = list(before)
    # Query 3: what was first is last, and so the others move up.
    rows = texts.queries.texts_of([3])
    after[rows[0]] = np.array([-5.0], dtype=np.float32)
    quality = compare(outputs(RERANKER, texts, before, after), DRAWS)
    (change,) = quality.disagreements
    assert change.text == "query 3"
    assert change.label == f"1 → {len(rows)}: passage 3"
    assert change.original.startswith("1: passage 3; 2: passage 8")
    assert change.result.startswith(f"1 → {len(rows)}: passage 3; 2 → 1: passage 8")
    assert quality.disagreement == "change of the first ten places (in weights of DCG)"


def test_queries_that_lack_a_relevant_passage_are_left_out():
    texts = texts_in_collection(SOME, EMBEDDER)
    assert len(candidates_in(texts)) == 30
    # Without the first passage, as after an interruption.
    partly = texts.take([*range(30), *range(31, 42)])
    needed = [n for n in range(30) if 0 in {n % 12, (n + 5) % 12}]
    assert len(candidates_in(partly)) == 30 - len(needed)
    few = texts.take(range(30))
    assert candidates_in(few) == []
    nothing = compare(outputs(EMBEDDER, few, embedded(few, 0), embedded(few, 0)), DRAWS)
    assert nothing.drop is None


def test_a_negative_grade_is_not_relevant():
    grades = {f"q{n}": {f"p{n}": 1, f"p{n + 1}": -1} for n in range(3)}
    texts = texts_in_collection(dataclasses.replace(SOME, grades=grades), RERANKER)
    assert all(each.grades.min() == 0 for each in candidates_in(texts))


def test_intervals_cover_the_truth():
    """Of 300 comparisons on 150 queries drawn from many, about 95 % have the true difference inside."""
    rng = np.random.default_rng(0)
    many = rng.normal(0.01, 0.08, 20_000) * (rng.random(20_000) < 0.6)
    hits = 0
    for _ in range(300):
        own = rng.choice(many, 150)
        (interval,) = intervals(lambda drawn: [own[drawn].mean()], 150, Draws(400))  # noqa: B023
        hits += interval[0] <= many.mean() <= interval[1]
    assert 0.93 <= hits / 300 <= 0.97


@pytest.mark.parametrize("task", [RERANKER, EMBEDDER])
def test_queries_are_dealt_out_with_their_passages(task):
    more = {f"q{n}": {f"p{n % 12}": 1} for n in range(60)}
    many = dataclasses.replace(SOME, queries={f"q{n}": f"query {n}" for n in range(60)}, grades=more)
    texts = texts_in_collection(many, task)
    halves = halve_texts(texts)
    search, check = texts.take(halves.search), texts.take(halves.check)
    assert len(search.queries.numbers) == len(check.queries.numbers) == 30
    assert not set(search.queries.numbers) & set(check.queries.numbers)
    assert len(candidates_in(search)) == len(candidates_in(check)) == 30
    if task is EMBEDDER:
        assert len(search) == 30 + 12
    with pytest.raises(DataError, match="30 queries are too few to keep a budget by, expected 40 or more"):
        halve_texts(texts_in_collection(SOME, task))


def test_a_large_corpus_is_ranked_as_far_as_places_count(monkeypatch):
    monkeypatch.setattr("prensa.evaluation.rankings.DEPTH", 4)
    monkeypatch.setattr("prensa.evaluation.rankings._AT_A_TIME", 7)
    texts = texts_in_collection(SOME, EMBEDDER)
    before, after = embedded(texts, 0.0), embedded(texts, 3.0)
    quality = compare(outputs(EMBEDDER, texts, before, after, metric="NDCG@4"), DRAWS)
    monkeypatch.undo()
    whole = compare(outputs(EMBEDDER, texts, before, after, metric="NDCG@4"), DRAWS)
    assert quality.drop == whole.drop
    assert any("→ behind 4: passage" in each.result for each in quality.disagreements)
