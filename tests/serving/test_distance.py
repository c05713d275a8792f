"""How far answers are apart: all rows count, rounding does not, and answers that are all alike have a scale."""

import math

import numpy as np
import pytest

from prensa.serving.distance import Comparison, as_rows, distance, thinned

RANDOM = np.random.default_rng(0)


def answers(count=20, rows=5, size=7):
    return [RANDOM.normal(size=(rows, size)).astype(np.float32) for _ in range(count)]


def test_one_is_as_far_as_answers_are_from_their_mean():
    truth = answers()
    assert distance(truth, truth) == 0
    mean = np.concatenate(truth).mean(axis=0)
    assert distance([np.broadcast_to(mean, each.shape) for each in truth], truth) == pytest.approx(
        1, abs=1e-4
    )


def test_the_last_row_and_the_last_column_count():
    truth = answers(rows=300, size=400)
    for at in ((0, 0), (-1, 0), (0, -1), (-1, -1)):
        found = [each.copy() for each in truth]
        for each in found:
            each[at] += 1000
        assert distance(found, truth) > 0.5, at


def test_a_first_row_that_is_alike_for_all_texts_is_not_what_everything_is_divided_by():
    """As of a decoder, whose texts all begin with the same token."""
    truth = answers()
    for each in truth:
        each[0] = 3.0
    found = [each * np.float32(1 + 1e-6) for each in truth]
    assert distance(found, truth) < 1e-4


def test_rounding_is_not_divided_by_a_small_spread():
    truth = [np.float32([[1000 + index / 10]]) for index in range(10)]
    assert distance([each + np.float32(0.005) for each in truth], truth) < 1e-3
    assert distance([each + 3 for each in truth], truth) > 5


@pytest.mark.parametrize("value", [5.0, 0.0])
def test_answers_that_are_all_alike_are_measured_by_their_size(value):
    truth = [np.full((1, 3), value, dtype=np.float32) for _ in range(5)]
    comparison = Comparison()
    for each in truth:
        comparison.add(each * np.float32(1.000001), each)
    assert comparison.alike
    assert comparison.distance == 0
    assert distance([each + 4 for each in truth], truth) > 0.5


def test_what_is_no_number():
    truth = answers(count=3)
    found = [each.copy() for each in truth]
    found[1][0, 0] = np.nan
    assert distance(found, truth) == math.inf
    comparison = Comparison()
    comparison.add(truth[0], found[1])
    assert comparison.broken == 1
    assert distance(truth, found) == math.inf


def test_other_shapes_are_other_answers():
    assert distance([np.zeros((2, 3), np.float32)], [np.zeros((3, 2), np.float32)]) == math.inf


def test_rows_of_any_output():
    assert as_rows(np.zeros(4)).shape == (1, 4)
    assert as_rows(np.zeros((5, 4))).shape == (5, 4)
    assert as_rows(np.float32(3)).shape == (1, 1)


@pytest.mark.parametrize(("rows", "size"), [(1, 2), (40, 48), (300, 768), (20, 50257), (1, 262144)])
def test_what_a_record_keeps_is_small_and_has_the_last_row(rows, size):
    whole = RANDOM.normal(size=(rows, size)).astype(np.float32)
    kept = thinned(whole)
    assert 1 <= kept.size <= 4096
    step = math.ceil(size / 4096)
    assert np.array_equal(kept[-1], whole[-1, ::step])
    if whole.size <= 4096:
        assert np.array_equal(kept, whole)
