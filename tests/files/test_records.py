from dataclasses import dataclass

import pytest

from prensa.files.records import from_plain, read_json, to_plain


@dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    share: float | None = None
    note: str = ""
    is_it: bool = False


WHOLE = Whole((Part("a", (1, 2)), Part("b", ())), 0.5)
PLAIN = {
    "parts": [{"name": "a", "sizes": [1, 2]}, {"name": "b", "sizes": []}],
    "share": 0.5,
    "note": "",
    "is_it": False,
}


def test_there_and_back():
    assert from_plain(PLAIN, Whole) == WHOLE
    assert from_plain(to_plain(WHOLE), Whole) == WHOLE
    assert list(to_plain(WHOLE)) == ["parts", "share", "note", "is_it"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parts": [{"name": "a"}]}, r"required field missing @ \$.parts\[0\].sizes"),
        ({"parts": [{"name": "a", "sizes": ["many"]}]}, r"@ \$.parts\[0\].sizes\[0\]"),
        ({"parts": 1}, r"\$.parts"),
        ({"share": "half"}, r"\$.share"),
        ({"more": 1}, r"more"),
        # What could be made to fit is not.
        ({"note": None}, r"\$.note"),
        ({"share": "0.5"}, r"\$.share"),
        ({"share": True}, r"\$.share"),
        ({"is_it": "false"}, r"\$.is_it"),
        ({"is_it": 1}, r"\$.is_it"),
        ({"parts": [{"name": 1, "sizes": []}]}, r"\$.parts\[0\].name"),
        ({"parts": [{"name": "a", "sizes": [1.0]}]}, r"@ \$.parts\[0\].sizes\[0\]"),
        ({"parts": [{"name": "a", "sizes": [True]}]}, r"@ \$.parts\[0\].sizes\[0\]"),
        ({"parts": [{"name": "a", "sizes": "12"}]}, r"@ \$.parts\[0\].sizes\[0\]"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        from_plain(PLAIN | change, Whole)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [None, 1, "text", [], [PLAIN]])
def test_something_else_altogether(content):
    with pytest.raises(ValueError):  # noqa: PT011
        from_plain(content, Whole)


def test_a_whole_number_is_a_number():
    assert from_plain(PLAIN | {"share": 1}, Whole).share == 1.0


def test_unknown_fields_can_be_ignored():
    assert from_plain(PLAIN | {"more": 1}, Whole, ignore_unknown=True) == WHOLE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read .No such file"),
        (b"{", "not readable as JSON"),
        (b"\xff", "not readable as JSON"),
    ],
)
def test_a_file_that_is_no_json(tmp_path, content, reason):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_json(path)


def test_a_file_that_is_nested_too_deep(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="not readable as JSON"):
        read_json(path)


def test_a_file_of_json(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, null]}')
    assert read_json(path) == {"a": [1, None]}
