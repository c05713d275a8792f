"""The threshold that is chosen has the best F1 that any threshold has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.evaluation.best_label_threshold import best_threshold, dealt_out
from prensa.evaluation.halves import MOST_TEXTS
from prensa.texts.columns import Texts

SEVERAL = Task("multi-label", ("common", "rare"))


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_no_threshold_is_better(seed, ties):
    rng = np.random.default_rng(seed)
    applies = rng.random(int(rng.integers(1, 40))) < rng.random()
    applies[0] = True
    probabilities = np.round(rng.random(len(applies)) * ties + 1) / (ties + 2)
    threshold = best_threshold(applies, probabilities)
    candidates = [0.0, *np.unique(probabilities)]
    scores = [f1_score(applies, probabilities > each, zero_division=0) for each in candidates]
    assert f1_score(applies, probabilities > threshold, zero_division=0) == pytest.approx(
        max(scores), abs=1e-12
    )


def test_the_highest_of_equal_ones_and_few_digits():
    applies = np.array([True, False, True])
    # Above 0.4 one of one is right of two: F1 2/3. Of all three, two: 4/5.
    assert best_threshold(applies, np.array([0.9, 0.8, 0.4])) == 0.2
    assert best_threshold(np.array([True, True, False]), np.array([0.9, 0.7654321987, 0.1])) == 0.432716
    side_by_side = np.array([0.5, np.nextafter(0.5, 0), 0.2])
    threshold = best_threshold(np.array([True, False, False]), side_by_side)
    assert (side_by_side > threshold).tolist() == [True, False, False]


def texts(labels):
    return Texts("d.csv", tuple("t" for _ in labels), labels=[np.array(label) for label in labels])


def test_halves_have_no_text_in_common_and_leave_none_out():
    count = 2 * MOST_TEXTS + 100
    halves = dealt_out(texts([(1, 0)] * count), [0], SEVERAL)
    assert sorted(halves.search + halves.check) == list(range(count))


def test_a_label_that_only_one_half_has_is_refused():
    rare = [(1, 0)] * 50
    rare[0] = (1, 1)
    with pytest.raises(DataError) as refused:
        dealt_out(texts(rare), [0, 1], SEVERAL)
    assert "none of the 25 texts on which the threshold of rare (`label_threshold=auto`) is " in str(
        refused.value
    )
    with pytest.raises(DataError, match="39 texts are too few to choose thresholds on one half and judge"):
        dealt_out(texts([(1, 1)] * 39), [0], SEVERAL)
    with pytest.raises(DataError, match=r"chosen by right answers; name their column in `label_column`"):
        dealt_out(Texts("d.csv", ("a",) * 50), [0], SEVERAL)
