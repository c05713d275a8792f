import math

import numpy as np

from prensa.evaluation.bootstrap import RESAMPLES, Draws, intervals


def test_the_interval_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(1).normal(size=400)
    (low, high), nothing = intervals(lambda i: [values[i].mean(), math.nan], 400, Draws())
    error = values.std() / 20
    assert abs(low - (values.mean() - 1.96 * error)) < 0.3 * error
    assert abs(high - (values.mean() + 1.96 * error)) < 0.3 * error
    assert nothing is None


def test_it_is_the_same_every_time_and_tells_how_far_it_is():
    told = []
    draws = Draws(step=lambda done, total: told.append((done, total)))
    first = intervals(lambda i: [float(i.sum())], 10, draws)
    assert first == intervals(lambda i: [float(i.sum())], 10, Draws())
    assert told[0] == (1, RESAMPLES)
    assert told[-1] == (RESAMPLES, RESAMPLES)


def test_resamples_on_which_a_number_is_not_defined_are_left_out():
    (interval,) = intervals(lambda i: [1.0 if 0 in i else math.nan], 5, Draws())
    assert interval == (1.0, 1.0)
