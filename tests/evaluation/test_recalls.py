import numpy as np
from scipy.stats import binomtest

from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.recalls import recall_of

RIGHT = np.array([1.0, 0, 1, 1, 1, 0])


def test_of_texts_it_has_the_exact_interval():
    found = recall_of("toxic", RIGHT, np.array([1.0, 0, 1, 0, 1, 0]), Draws(0))
    exact = binomtest(3, 4).proportion_ci(0.95)
    assert (found.label, found.value, found.interval) == ("toxic", 0.75, (exact.low, exact.high))


def test_of_several_things_in_a_text_texts_are_drawn():
    right, missed = np.array([10.0] + [1] * 30), np.array([10.0] + [0] * 30)
    found = recall_of("PER", right, right - missed, Draws(500))
    assert found.value == 0.75
    low, high = found.interval
    assert low < 0.67  # wider than that of 40 things which have nothing in common
    assert high == 1
    assert recall_of("PER", right, right - missed, Draws(0)).interval is None


def test_what_no_resample_changes():
    right = np.array([2.0, 3, 0, 1])
    all_found = recall_of("PER", right, right, Draws(500))
    assert (all_found.value, all_found.interval[1]) == (1, 1)
    assert all_found.interval[0] == binomtest(3, 3).proportion_ci(0.95).low
    none = recall_of("PER", right, 0 * right, Draws(0))
    assert (none.value, none.interval[0]) == (0, 0)


def test_what_nothing_has():
    assert recall_of("PER", np.zeros(3), np.zeros(3), Draws(9)).value is None
