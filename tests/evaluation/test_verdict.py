import dataclasses

import pytest
from tests.sample import EVALUATION, QUALITY

from prensa.evaluation.figures import Drop, Metric, Quality, Recall
from prensa.evaluation.verdict import drop_in_words, verdict


def said(evaluation=EVALUATION, **changes):
    result = dataclasses.replace(evaluation.results[0], **changes)
    return verdict(dataclasses.replace(evaluation, results=(result,)), result)


def test_a_score_that_cannot_drop_so_far():
    quality = Quality(
        drop=Drop("BLEU", 0.0, (-0.0001, 0.0001)), metrics=(Metric("BLEU", 0.004, 0.004, (-0.0001, 0.0001)),)
    )
    assert said(quality=quality).endswith(
        "the budget of 0.50 points was held, but not for certain: the original's own BLEU is no higher than "
        "the drop allowed, so that any result holds it."
    )


def test_the_whole_sentence():
    assert said() == (
        "int8 takes 18.97 MB, 20.9 % of the original's 90.87 MB, answers 1.25 times as fast (one text of 40 tokens; 1.25 to 1.25), and "
        "its accuracy drops by 0.30 points (95 % interval −0.10 to 0.80), with the original's answer on 98.90 %, on 3,000 texts of "
        "comments.csv; the budget of 0.50 points "
        "was held, but not for certain: the interval goes beyond it."
    )


@pytest.mark.parametrize(
    ("allowed", "end"),
    [
        (0.01, "points was held."),
        (
            0.001,
            "twice the budget on 3,000 texts; about 61,000 texts would decide it.",
        ),
        (0.0, "points was NOT held."),
        (None, "on 3,000 texts of comments.csv."),
    ],
)
def test_the_budget(allowed, end):
    settings = dataclasses.replace(EVALUATION.settings, max_drop=allowed)
    assert said(dataclasses.replace(EVALUATION, settings=settings)).endswith(end)


def test_queries_are_counted_where_passages_are_ranked():
    drop = Drop("NDCG@10", 0.02, (-0.03, 0.09))
    quality = Quality(drop=drop, queries=120)
    settings = dataclasses.replace(EVALUATION.settings, max_drop=0.01)
    assert said(dataclasses.replace(EVALUATION, settings=settings), quality=quality).endswith(
        "its NDCG@10 drops by 2.00 points (95 % interval −3.00 to 9.00) on 120 queries of comments.csv; the budget "
        "of 1.00 points is NOT decided: the 95 % interval is wider than twice the budget on 120 queries; about "
        "4,400 queries would decide it."
    )
    none_changed = Quality(drop=Drop("recall@10", 0.0, (-0.03, 0.03), none_changed=True), queries=120)
    settings = dataclasses.replace(EVALUATION.settings, max_drop=0.01)
    words = said(dataclasses.replace(EVALUATION, settings=settings), quality=none_changed)
    assert words.endswith("on 120 queries; about 370 queries would decide it.")


def test_what_is_missing_is_said():
    without = dataclasses.replace(QUALITY, drop=Drop("accuracy", 0.003, None))
    assert said(quality=without).endswith("not for certain: there is no interval.")
    assert "was not timed" in said(timings=())
    assert "was not compared for quality; whether the budget of 0.50 points was held" in said(quality=None)
    assert "could not be judged on 3,000 texts" in said(quality=Quality())
    broken = said(quality=Quality(broken=7))
    assert (
        "gives no number (NaN or infinity) on 7 of 3,000 texts of comments.csv: it cannot be used" in broken
    )
    assert broken.endswith("NOT held.")


def test_a_smoke_test_is_called_one():
    data = dataclasses.replace(EVALUATION.data, is_smoke_test=True)
    assert "3,000 built-in texts (a smoke test, not an accuracy figure)" in said(
        dataclasses.replace(EVALUATION, data=data)
    )


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (QUALITY.drop, "its accuracy drops by 0.30 points (95 % interval −0.10 to 0.80)"),
        (Drop("recall: toxic", 0.01, None), "its recall of toxic drops by 1.00 points"),
        (Drop("macro F1", -0.002, (-0.01, 0.0)), "its macro F1 rises by 0.20 points"),
        (Drop("accuracy", 0.0, (0.0, 0.0)), "its accuracy stays as it was"),
        (Drop("accuracy", 0.01, None), "its accuracy drops by 1.00 points (95 % interval not known)"),
        (Drop("accuracy", -0.00001, (-0.0, 0.0)), "stays as it was (95 % interval of the drop 0.00 to 0.00"),
        (Drop("changed answers", 0.01, (0.0, 0.02)), "changes 1.00 % of the answers"),
        (Drop("bits per byte", 0.004, (0, 0.01)), "its cost in bits per byte rises by 0.40 %"),
        (Drop("bits per byte", -0.004, (-0.01, 0)), "its cost in bits per byte falls by 0.40 %"),
        (Drop("1 − cosine", 0.0005, (0, 0.001)), "turns vectors by 0.05 % (1 − cosine"),
        (Drop("neighbours@10", 0.031, (0.02, 0.04)), "changes 3.10 % of the 10 texts nearest to each (95 %"),
    ],
)
def test_every_kind_of_drop(drop, words):
    assert words in drop_in_words(drop)


@pytest.mark.parametrize(
    ("recall", "end"),
    [
        (
            Recall("toxic", 0.98, (0.96, 0.99)),
            "was held: it is 98.00 % (95 % interval 96.00 to 99.00).",
        ),
        (Recall("toxic", 0.96, (0.94, 0.97)), "was held, but not for certain: it is 96.00 % "),
        (Recall("toxic", 0.9, (0.88, 0.92)), "was NOT held: it is 90.00 % "),
        (
            Recall("toxic", 0.96, (0.84, 0.99)),
            "is NOT decided: it is 96.00 % (95 % interval 84.00 to 99.00), and about 6,800 texts would decide it.",
        ),
        (
            Recall("other", 0.96, (0.84, 0.99)),
            "; whether a recall of toxic of 95.00 % was held is not known.",
        ),
    ],
)
def test_recall_that_is_needed(recall, end):
    settings = dataclasses.replace(EVALUATION.settings, max_drop=None, min_recall={"toxic": 0.95})
    quality = dataclasses.replace(QUALITY, recalls=(recall,))
    words = said(dataclasses.replace(EVALUATION, settings=settings), quality=quality)
    assert end in words
    if recall.label == "toxic":
        assert "comments.csv; a recall of toxic of 95.00 % " in words
