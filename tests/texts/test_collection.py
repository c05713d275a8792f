import dataclasses

import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts import collection as collections
from prensa.texts.collection import OTHERS, Collection, texts_in_collection
from prensa.texts.queries import NEITHER

RERANKER, EMBEDDER = Task("regression"), Task("embedding")
QUERIES = {f"q{n}": f"query {n}" for n in range(6)}
PASSAGES = {f"p{n}": f"passage {n}" for n in range(40)}
GRADES = {f"q{n}": {f"p{n}": 1, f"p{n + 10}": 0} for n in range(5)} | {"q5": {"p1": 0}}
SOME = Collection("some", QUERIES, PASSAGES, GRADES, has_corpus=True, account="some: read")


def test_a_reranker_reads_graded_passages_and_others():
    texts = texts_in_collection(SOME, RERANKER)
    assert len(texts) == 5 * (2 + OTHERS)
    assert texts.texts[0] == "query 0"
    assert texts.pairs[:2] == ("passage 0", "passage 10")
    assert texts.queries.query_of[:13] == (0,) * 12 + (1,)
    assert texts.queries.passage_of[:2] == (0, 10)
    assert texts.queries.grades[1] == {1: 1, 11: 0}
    assert len(set(texts.pairs[:12])) == 12
    assert "5 queries taken (1 without a relevant passage left out), 60 pairs in all" in texts.account
    assert "10 other passages for each query at random" in texts.account


def test_the_others_of_a_query_depend_on_it_alone():
    all_of_them = texts_in_collection(SOME, RERANKER)
    few = texts_in_collection(SOME, RERANKER, limit=3)
    assert len(few.queries.numbers) == 3
    assert set(zip(few.texts, few.pairs, strict=True)) < set(
        zip(all_of_them.texts, all_of_them.pairs, strict=True)
    )
    assert few == texts_in_collection(SOME, RERANKER, limit=3)


def test_a_reranker_of_two_classes_reads_pairs_too():
    assert texts_in_collection(SOME, Task("classes", ("no", "yes"))).pairs is not None
    with pytest.raises(DataError, match="this one is for classes"):
        texts_in_collection(SOME, Task("classes", ("no", "yes", "maybe")))


def test_an_embedder_reads_each_text_once():
    texts = texts_in_collection(SOME, EMBEDDER)
    assert len(texts) == 5 + 40
    assert texts.pairs is None
    assert texts.queries.query_of == (*range(5), *[NEITHER] * 40)
    assert texts.queries.passage_of == (*[NEITHER] * 5, *range(40))
    assert "each among 40 passages" in texts.account
    assert texts_in_collection(SOME, None) == texts


def test_of_a_large_corpus_some_are_drawn_beside_those_of_the_queries(monkeypatch):
    monkeypatch.setattr(collections, "MOST_PASSAGES", 15)
    texts = texts_in_collection(SOME, EMBEDDER)
    kept = [number for number in texts.queries.passage_of if number != NEITHER]
    assert set(kept) >= {0, 1, 2, 3, 4, 10, 11, 12, 13, 14}
    assert len(kept) <= 15
    assert kept == sorted(kept)
    assert "drawn at random beside those with a score" in texts.account


def test_only_the_rows_of_a_table_are_read():
    table = dataclasses.replace(SOME, has_corpus=False)
    assert len(texts_in_collection(table, RERANKER)) == 10


def test_what_nothing_can_be_judged_by():
    def refused(grades, task, **more):
        with pytest.raises(DataError) as error:
            texts_in_collection(dataclasses.replace(SOME, grades=grades, **more), task)
        return str(error.value)

    assert "no passage has a score above 0" in refused({"q0": {"p0": 0}, "q1": {"p1": -1}}, EMBEDDER)
    assert "1 query with a relevant passage; expected several" in refused({"q0": {"p0": 1}}, RERANKER)
    alike = {"q0": {"p0": 1}, "q1": {"p1": 1}}
    assert "every order is right" in refused(alike, RERANKER, has_corpus=False)
    with pytest.raises(DataError, match=r"1 query taken \(`limit` 1\)"):
        texts_in_collection(SOME, EMBEDDER, limit=1)


@pytest.mark.parametrize("task", [RERANKER, EMBEDDER])
def test_to_calibrate_on_scores_do_not_matter(task):
    for grades in ({"q0": {"p0": 1}}, {"q0": {"p0": 0}, "q1": {"p1": 0}}, {"q0": {"p0": 1}, "q1": {"p1": 1}}):
        some = dataclasses.replace(SOME, grades=grades, has_corpus=False)
        texts = texts_in_collection(some, task, to_judge=False)
        assert len(texts.queries.numbers) == len(grades)
        assert "left out" not in texts.account


def test_taking_some_texts():
    texts = texts_in_collection(SOME, EMBEDDER)
    some = texts.take([1, 44, 6])
    assert some.texts == ("query 1", "passage 39", "passage 1")
    assert some.queries.query_of == (1, NEITHER, NEITHER)
    assert some.queries.passage_of == (NEITHER, 39, 1)
    assert texts.queries.numbers == [0, 1, 2, 3, 4]
    assert texts.queries.texts_of([3]) == [3, *range(5, 45)]
