import numpy as np
import pytest

from prensa.evaluation.calibration_error import calibration_error, reliability


def test_a_model_that_is_right_as_often_as_it_says():
    confidence = np.array([0.75] * 4 + [0.5] * 2)
    right = np.array([True, True, True, False, True, False])
    assert calibration_error(confidence, right) == 0
    low, high = reliability(confidence, right)
    assert (low.count, low.confidence, low.right) == (2, 0.5, 0.5)
    assert (high.count, high.confidence, high.right) == (4, 0.75, 0.75)


def test_a_model_that_is_too_sure():
    assert calibration_error(np.array([1.0, 0.9]), np.array([True, False])) == pytest.approx(0.45)


def test_the_ends_belong_to_bins():
    assert [each.count for each in reliability(np.array([0.0, 1.0]), np.array([0, 1]))] == [1, 1]
