"""Which texts are answered together, and when."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.serving.waiting import Request, Waiting, round_number


def request(*lengths, most=None):
    return Request([{"input_ids": [0] * length} for length in lengths], most)


def batches(waiting):
    """Take all that waits."""
    taken = []
    while waiting:
        taken.append(waiting.take())
    return taken


def lengths(batch):
    return [place.length for place in batch]


@pytest.mark.parametrize("most", [None, 4])
def test_one_caller_alone_gets_its_texts_by_length(most):
    chooser = random.Random(0)
    own = [chooser.randrange(1, 60) for _ in range(100)]
    waiting = Waiting(tokens=128)
    waiting.add(request(*own, most=most))
    taken = [lengths(batch) for batch in batches(waiting)]
    assert list(itertools.chain(*taken)) == sorted(own, reverse=True)
    for batch in taken[:-4]:
        # As many as there is room for, but for what makes a round number of them.
        assert len(batch) == round_number(min(128 // batch[0], most or 128))


def test_one_caller_with_few_texts_does_not_pay_for_padding():
    waiting = Waiting()
    waiting.add(request(1500, 1490, 600, 30, 20))
    assert [lengths(batch) for batch in batches(waiting)] == [[1500, 1490], [600], [30, 20]]


def test_batches_have_few_sizes():
    """A runtime prepares itself for each: with all of 1 to 32 it took a third more memory, and more each hour."""
    sizes = {round_number(count) for count in range(1, 33)}
    assert sorted(sizes) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    for count in range(1, 1000):
        assert 2 / 3 * count <= round_number(count) <= count
    waiting = Waiting()
    for length in (40, 41, 42, 43, 44):
        waiting.add(request(length))
    # The first that came is among them, though it is the shortest.
    assert lengths(waiting.take()) == [43, 42, 41, 40]
    assert lengths(waiting.take()) == [44]


def test_the_next_in_line_is_answered_with_those_of_like_length():
    waiting = Waiting()
    for length in (200, 800, 196, 3, 208, 1200, 204):
        waiting.add(request(length))
    assert lengths(waiting.take()) == [208, 204, 200, 196]
    # Now it is the turn of the one with 800 tokens.
    assert 800 in lengths(waiting.take())


def test_a_single_text_does_not_wait_for_all_of_a_thousand():
    waiting = Waiting(tokens=64)
    waiting.add(request(*[16] * 1000))
    waiting.take()
    single = request(40)
    waiting.add(single)
    assert any(place.request is single for place in waiting.take())


def test_nobody_waits_for_ever():
    """Short texts keep coming, and the many long ones of an earlier caller come to their turn all the same."""
    waiting = Waiting(tokens=64)
    many = request(*[30] * 40)
    waiting.add(many)
    for taken in itertools.count():
        waiting.add(request(5))
        waiting.take()
        if not any(place.request is many for place in waiting._places):
            break
        assert taken < 100


def test_padding_is_not_answered_for_the_sake_of_a_larger_batch():
    waiting = Waiting()
    for length in (10, 400, 12, 390):
        waiting.add(request(length))
    assert sorted(lengths(waiting.take())) == [10, 12]
    assert sorted(lengths(waiting.take())) == [390, 400]


def test_who_leaves_is_not_answered():
    waiting = Waiting()
    stays, leaves = request(5, 6), request(5, 7)
    waiting.add(stays)
    waiting.add(leaves)
    waiting.remove(leaves)
    assert (len(waiting), waiting.tokens) == (2, 11)
    assert {place.request for batch in batches(waiting) for place in batch} == {stays}
    assert (len(waiting), waiting.tokens) == (0, 0)


def test_what_ended_a_worker_is_tried_alone_and_then_no_more():
    waiting = Waiting()
    one, other = request(9), request(9)
    waiting.add(one)
    waiting.add(other)
    assert waiting.put_back(waiting.take()) == []
    again = waiting.take()
    assert len(again) == 1
    assert waiting.put_back(again) == again
    assert lengths(waiting.take()) == [9]


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=6), min_size=1, max_size=30),
    st.integers(1, 600),
)
def test_each_text_is_answered_once_and_no_batch_is_too_large(callers, tokens):
    waiting = Waiting(tokens)
    for own in callers:
        waiting.add(request(*own))
    taken = batches(waiting)
    assert sorted(length for batch in taken for length in lengths(batch)) == sorted(itertools.chain(*callers))
    for batch in taken:
        assert len(batch) == 1 or len(batch) * max(lengths(batch)) <= tokens
        assert lengths(batch) == sorted(lengths(batch), reverse=True)
    assert (len(waiting), waiting.tokens) == (0, 0)
