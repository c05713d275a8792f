import numpy as np
import pytest

from prensa.evaluation.bootstrap import Draws, exact_interval
from prensa.evaluation.text_scores import Means, Sameness, compare_scores


def test_means_are_compared_text_by_text():
    rng = np.random.default_rng(0)
    before = rng.random(200)
    after = before - 0.1 * (rng.random(200) < 0.3)
    flat = np.ones(200)
    first, second = compare_scores(
        Means({"a": before, "b": flat}), Means({"a": after, "b": flat}), 200, Draws(200)
    )
    assert (first.original, first.result) == (pytest.approx(before.mean()), pytest.approx(after.mean()))
    low, high = first.interval
    # Far narrower than the scores themselves are spread: the same texts for both.
    assert low < first.difference < high < 0
    assert high - low < 0.02
    # What changed on no text is not known to be without change on others.
    _, highest = exact_interval(0, 200)
    assert second.interval == (-highest, highest)
    assert {
        each.interval for each in compare_scores(Means({"a": before}), Means({"a": after}), 200, Draws(0))
    } == {None}


def test_answers_that_are_the_same():
    sameness = Sameness.of(["a", "b", "c", "d"], ["a", "x", "c", "d "])
    assert sameness.same.tolist() == [True, False, True, False]
    assert sameness.changed.value == sameness.figure.value == 0.5
    low, high = exact_interval(2, 4)
    assert sameness.figure.interval == pytest.approx((1 - high, 1 - low))
