import numpy as np
import pytest

from prensa.evaluation.label_thresholds import one_of, several_of

P = np.array([[0.1, 0.3, 0.6], [0.45, 0.35, 0.2], [0.2, 0.7, 0.1]])


@pytest.mark.parametrize(
    ("thresholds", "chosen"),
    [
        ({}, [2, 0, 1]),
        ({1: 0.25}, [1, 1, 1]),  # above it a label comes before more likely ones
        ({1: 0.7}, [2, 0, 0]),  # and at it, as below, never
        ({0: 0.4, 1: 0.3}, [2, 0, 1]),  # of two above theirs, the more likely one
        ({0: 0.9, 1: 0.9, 2: 0.9}, [2, 0, 1]),  # none is reached, and every label has one
    ],
)
def test_one_label_for_each_text(thresholds, chosen):
    assert one_of(P, thresholds).tolist() == chosen


def test_two_labels():
    toxic = np.array([0.65, 0.71, 0.2])
    assert one_of(np.stack([1 - toxic, toxic], axis=1), {1: 0.7}).tolist() == [0, 1, 0]


def test_several_labels_for_a_text():
    assert several_of(P, {}).tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert several_of(P, {0: 0.15, 2: 0.6}).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
