"""The walk along the hulls beside every possible choice."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from prensa.shrink.choice import Width, choose, even

SECONDS = st.floats(0.01, 1.0)


@st.composite
def parts(draw):
    """Parts whose narrower widths are faster and cost more."""
    made = {}
    for number in range(draw(st.integers(1, 3))):
        faster = draw(st.lists(SECONDS, min_size=1, max_size=4))
        dearer = draw(st.lists(SECONDS, min_size=len(faster), max_size=len(faster)))
        seconds, cost = sum(faster), 0.0
        widths = [Width(len(faster), seconds, cost)]
        for at, (less, more) in enumerate(zip(faster, dearer, strict=True)):
            seconds, cost = seconds - less, cost + more
            widths.append(Width(len(faster) - 1 - at, seconds, cost))
        made[str(number)] = widths
    return made


@given(parts(), st.floats(0.0, 4.0))
def test_it_keeps_the_time_and_nothing_could_be_widened(made, seconds):
    chosen = choose(made, seconds)
    narrowest = sum(widths[-1].seconds for widths in made.values())
    if chosen is None:
        assert narrowest > seconds - 1e-9
        return
    total = sum(width.seconds for width in chosen.values())
    assert total <= seconds + 1e-9
    for name, widths in made.items():
        for width in widths:
            gains = width.cost < chosen[name].cost
            assert not gains or total - chosen[name].seconds + width.seconds > seconds - 1e-9


@given(parts(), st.floats(0.2, 4.0))
def test_it_costs_little_more_than_the_best_choice(made, seconds):
    chosen = choose(made, seconds)
    possible = []
    for widths in itertools.product(*made.values()):
        if sum(width.seconds for width in widths) <= seconds:
            possible.append(sum(width.cost for width in widths))
    if chosen is None:
        return
    # It may stop between two steps of the walk: one step of one part is what that can cost.
    step = max(widths[-1].cost for widths in made.values())
    assert sum(width.cost for width in chosen.values()) <= min(possible) + step + 1e-9


def test_a_width_that_is_no_faster_is_never_taken():
    made = {"a": [Width(3, 1.0, 0.0), Width(2, 1.0, 0.5), Width(1, 0.5, 0.6)]}
    chosen = choose(made, 0.9)
    assert chosen is not None
    assert chosen["a"].units == 1


def test_one_width_for_all():
    widths = [Width(3, 1.0, 0.0), Width(2, 0.7, 0.1), Width(1, 0.2, 1.0)]
    assert even([widths, widths], 1.5) == [widths[1], widths[1]]
    assert even([widths, widths], 0.1) is None
