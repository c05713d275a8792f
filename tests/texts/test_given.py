import pytest

from prensa.errors import DataError
from prensa.texts.given import Given, read_given


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("a", Given("a")),
        ("", Given("")),
        (("a", "b"), Given("a", "b")),
        (["a", "b"], Given("a", "b")),
        ({"text": "a"}, Given("a")),
        ({"text": "a", "text_pair": None}, Given("a")),
        ({"text": "a", "text_pair": "b"}, Given("a", "b")),
    ],
)
def test_texts_and_pairs(value, given):
    assert read_given(value, 0) == given


@pytest.mark.parametrize("value", [("q", "c"), ["q", "c"], {"question": "q", "context": "c"}])
def test_questions(value):
    assert read_given(value, 0, "questions") == Given("q", "c")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (("a", "b", "c"), r"a tuple of 3 \(str\)"),
        (["a"], "a list of 1"),
        ([], r"a list of 0 \(empty\)"),
        (("a", None), r"a tuple of 2 \(NoneType, str\)"),
        (3, "int '3'"),
        (None, "None"),
        (b"x", "bytes"),
        ({}, "a dict with nothing"),
        ({"txt": "a"}, "a dict with 'txt'"),
        ({"text": "a", "text_pair": 3}, "a dict with 'text', 'text_pair'"),
        ({"question": "a", "context": "b"}, "a dict with 'question', 'context'"),
    ],
)
def test_anything_else_is_named_with_its_place(value, found):
    with pytest.raises(DataError, match=f"input 7: expected a text, a pair .*found {found}"):
        read_given(value, 7)


@pytest.mark.parametrize("value", ["a\ud800", ("a", "\udfff")])
def test_half_characters(value):
    with pytest.raises(DataError, match="input 2 holds half of a surrogate pair"):
        read_given(value, 2)
