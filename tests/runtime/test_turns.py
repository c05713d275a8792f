"""Several things timed in turns, by a clock that the test holds."""

import pytest

from prensa.runtime import turns
from prensa.runtime.turns import in_turns


class Clock:
    """A clock that only the works below move."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


def work(clock, name, seconds, ran):
    """Take each of ``seconds`` in its turn, the last one for ever."""
    left = list(seconds)

    def run():
        ran.append(name)
        clock.now += left.pop(0) if len(left) > 1 else left[0]

    return run


def test_medians_of_turns_without_the_first(clock):
    ran = []
    works = [work(clock, "slow", [9, 3, 1, 3], ran), work(clock, "quick", [1, 1, 2, 1], ran)]
    assert in_turns(works, 10) == [3, 1]
    assert ran == ["slow", "quick"] * 4


def test_however_slow_each_has_a_turn(clock):
    ran = []
    works = [work(clock, name, [100], ran) for name in "ab"]
    assert in_turns(works, 0.3) == [100, 100]
    assert ran == ["a", "b", "a", "b"]


def test_the_second_run_of_a_turn_counts(clock):
    ran = []
    works = [work(clock, "a", [5, 7, 1], ran), work(clock, "b", [5, 8, 2], ran)]
    assert in_turns(works, 0, twice=True) == [1, 2]
    assert ran == ["a", "b", "a", "a", "b", "b"]
