"""Which texts a model is timed on."""

import pytest

from prensa.errors import DataError, SettingError
from prensa.serving.loads import groups, own_texts, shapes


def test_a_usual_text_a_long_one_and_several_of_like_length():
    lengths = [100, 3, 50, 7, 20, 90, 30, 40, 10, 60, 5]
    usual, long, together = groups(lengths)
    assert [lengths[index] for index in usual] == [30]
    assert [lengths[index] for index in long] == [90]
    assert [lengths[index] for index in together] == [5, 7, 10, 20, 30, 40, 50, 60]


def test_of_a_single_text():
    assert groups([5]) == [[0], [0]]


def test_shapes_are_rounded_up():
    assert shapes([5, 17, 33]) == [(1, 32), (1, 48), (3, 48)]
    assert shapes([6, 18, 34]) == shapes([5, 17, 33])
    assert shapes([400]) == [(1, 400), (1, 400)]


def test_whatever_predict_takes():
    texts = own_texts(["a", ("b", "c"), {"text": "d"}, {"question": "e", "context": "f"}])
    assert texts.texts == ("a", "b", "d", "e")
    assert texts.pairs == ("", "c", "", "f")
    assert own_texts(iter(["a"])).pairs is None


@pytest.mark.parametrize("wrong", ["one", b"one", {"text": "one"}, []])
def test_not_many_texts(wrong):
    with pytest.raises(SettingError, match="`texts`"):
        own_texts(wrong)


def test_no_text():
    with pytest.raises(DataError, match="`texts`: input 1: expected a text"):
        own_texts(["a", 3])
