import math

import pytest

from prensa.passes.gptq import LEAST_NOISE, MOST_NOISE
from prensa.search.bisect import NEAR, last_allowed
from prensa.search.trial import Trial


def tries(limit, *, upwards):
    made = []

    def attempt(noises):
        made.extend(noises)
        return [Trial(noise, 100) for noise in noises]

    def allows(trial):
        return trial.noise <= limit if upwards else trial.noise >= limit

    return made, attempt, allows


@pytest.mark.parametrize("limit", [3e-6, 0.0019, 0.002, 0.0021, 0.05, 4.0])
@pytest.mark.parametrize("upwards", [True, False])
def test_it_comes_near_what_is_allowed(limit, upwards):
    made, attempt, allows = tries(limit, upwards=upwards)
    found = last_allowed(attempt, allows, start=0.002, most=20, upwards=upwards)
    assert allows(found)
    assert max(found.noise / limit, limit / found.noise) <= NEAR
    assert len(made) == len(set(made))


@pytest.mark.parametrize("limit", [0.0006, 0.0019, 0.0021, 0.02])
def test_few_trials_do_where_the_limit_is_not_far(limit):
    made, attempt, allows = tries(limit, upwards=True)
    last_allowed(attempt, allows, start=0.002, most=20, upwards=True)
    assert len(made) <= 7


def test_the_ends_of_what_there_is():
    made, attempt, allows = tries(math.inf, upwards=True)
    assert last_allowed(attempt, allows, start=0.002, most=20, upwards=True).noise == MOST_NOISE
    made, attempt, allows = tries(0.0, upwards=True)
    assert last_allowed(attempt, allows, start=0.002, most=20, upwards=True) is None
    assert min(made) == LEAST_NOISE


@pytest.mark.parametrize("limit", [3e-6, 0.0019, 0.002, 0.0021, 0.05, 4.0])
@pytest.mark.parametrize("upwards", [True, False])
# A cluster of a hundred machines has room for more than there are powers of a stride.
@pytest.mark.parametrize("at_once", [2, 3, 4, 9, 3000])
def test_several_at_a_time_come_as_near(limit, upwards, at_once):
    rounds = []
    made, attempt, allows = tries(limit, upwards=upwards)

    def attempt_all(noises):
        rounds.append(noises)
        return attempt(noises)

    found = last_allowed(attempt_all, allows, start=0.002, most=20, upwards=upwards, at_once=at_once)
    assert max(found.noise / limit, limit / found.noise) <= NEAR
    assert len(made) == len(set(made))
    assert all(1 <= len(noises) <= at_once for noises in rounds)
    one_by_one, attempt, allows = tries(limit, upwards=upwards)
    last_allowed(attempt, allows, start=0.002, most=20, upwards=upwards)
    assert len(rounds) < len(one_by_one)


def test_no_more_trials_than_allowed():
    made, attempt, allows = tries(0.05, upwards=True)
    found = last_allowed(attempt, allows, start=0.002, most=3, upwards=True)
    assert len(made) == 3
    assert found.noise <= 0.05
