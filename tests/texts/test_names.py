import pytest

from prensa.errors import SettingError
from prensa.texts.names import as_mapping, find, join_names, split_names


def test_names_are_found_whatever_their_case():
    names = ["id", " Comment Text", "LABEL", "a", "A"]
    assert find("comment_text", names) == " Comment Text"
    assert find("label", names) == "LABEL"
    assert find("A", names) == "A"
    assert find("none", names) is None
    assert find("text", ["Text", "TEXT"]) is None


def test_lists_of_names_and_options_are_the_same():
    names = ["a", "b, c", 'd "e"']
    assert split_names(join_names(names)) == names
    assert split_names("a, b") == ["a", "b"]
    assert join_names("a,b") == "a,b"
    assert join_names(None) is None


def test_mappings():
    expected = {"hateful": "toxic", "-1": "", "a,b": "x"}
    assert as_mapping('hateful=toxic,-1=,"a,b=x"') == expected
    assert as_mapping({"hateful": "toxic", -1: None, "a,b": "x"}) == expected
    assert as_mapping(None) is None
    for wrong in ("toxic", "a=b,a=c", "=b", ""):
        with pytest.raises(SettingError, match="`labels`"):
            as_mapping(wrong)
