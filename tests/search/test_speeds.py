from hypothesis import given
from hypothesis import strategies as st

from prensa.search.speeds import SPEEDS, fastest_allowed


@given(st.floats(1.0, 10.0))
def test_the_fastest_that_is_allowed(limit):
    tried = []

    def allows(speed):
        tried.append(speed)
        return speed <= limit

    expected = max((speed for speed in SPEEDS if speed <= limit), default=None)
    assert fastest_allowed(SPEEDS, allows) == expected
    assert len(tried) <= 4
    assert len(set(tried)) == len(tried)
