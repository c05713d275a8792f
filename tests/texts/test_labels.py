import pytest

from prensa.checkpoint.task import Task
from prensa.errors import DataError
from prensa.texts.labels import IGNORED, read_labels
from prensa.texts.readers import DataTable

NAMES = ("Non-toxic", "toxic", "Spam")


def read(kind, cells, classes=None):
    table = DataTable("t.csv", {"label": cells}, {"label": classes} if classes else {})
    return [label.tolist() for label in read_labels(table, ("label",), Task(kind, NAMES))]


@pytest.mark.parametrize(
    "cells",
    [
        [0, 1, 2],
        ["0", "1", "2"],
        ["0.0", "1.0", "2.0"],
        [0.0, True, 2],
        ["Non-toxic", "toxic", "Spam"],
        ["non-TOXIC", " TOXIC ", "spam"],
    ],
)
def test_ids_and_names(cells):
    assert read("classes", cells) == [0, 1, 2]


def test_names_behind_integers_are_followed_where_the_model_knows_them():
    assert read("classes", [0, 1, 2], ["spam", "Toxic", "non-toxic"]) == [2, 1, 0]
    assert read("classes", [0, 1, 2], ["a", "b", "c"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("cells", "ids"), [(["1", "3", "2"], [0, 2, 1]), (["0", "2", "1"], [0, 2, 1]), (["1", "2"], [0, 1])]
)
def test_a_column_is_names_throughout_or_ids_throughout(cells, ids):
    table, stars = DataTable("t", {"label": cells}), Task("classes", ("1", "2", "3"))
    assert [int(label) for label in read_labels(table, ("label",), stars)] == ids


def test_names_and_ids_are_not_mixed():
    with pytest.raises(DataError, match=r"does not know: '0' \(1×\)"):
        read("classes", ["toxic", "spam", "0"])


@pytest.mark.parametrize(
    ("cell", "marks"),
    [
        ([0, 1, 1], [0, 1, 1]),
        ([0.0, 0.0, 1.0], [0, 0, 1]),
        (["toxic", "spam"], [0, 1, 1]),
        ("toxic, Spam", [0, 1, 1]),
        ('["toxic"]', [0, 1, 0]),
        ("2", [0, 0, 1]),
        ([2], [0, 0, 1]),
        ("", [0, 0, 0]),
        ([], [0, 0, 0]),
        (None, [0, 0, 0]),
    ],
)
def test_several_labels(cell, marks):
    assert read("multi-label", [cell]) == [marks]


@pytest.mark.parametrize("cell", [[0, -100, 2], "0 -100 2", ["Non-toxic", -100, "spam"], "[0, -100, 2]"])
def test_labels_of_words(cell):
    assert read("tokens", [cell]) == [[0, IGNORED, 2]]


def test_numbers():
    assert read("regression", ["1.5", 2, "-3e-1"]) == [1.5, 2.0, -0.3]


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        (
            "classes",
            ["toxic", "rude", "rude", "7"],
            r"'rude' \(2×\), '7' \(1×\); it knows 0 'Non-toxic', 1 'to",
        ),
        ("classes", [0, 3, -1, 0.5, -100], r"'3' \(1×\), '-1' \(1×\), '0.5' \(1×\), '-100' \(1×\)"),
        ("classes", list("abcdefg"), r"'e' \(1×\) …; it knows"),
        ("classes", ["toxic", ""], "row 2 has no label in column 'label'"),
        ("classes", ["toxic", None], "row 2 has no label"),
        ("multi-label", ["toxic,rude"], "'rude'"),
        ("tokens", ["toxic rude"], "'rude'"),
        ("regression", ["1", "much"], "row 2, column 'label': expected a number, found 'much'"),
        ("regression", ["nan"], "expected a number, found 'nan'"),
    ],
)
def test_bad_labels(kind, cells, message):
    with pytest.raises(DataError, match=message):
        read(kind, cells)


def test_columns_of_marks_hold_zeros_and_ones():
    table = DataTable("t", {"a": ["1", "0"], "b": ["0", "2"]})
    with pytest.raises(DataError, match="row 2, column 'b': expected 0 or 1, found '2'"):
        read_labels(table, ("a", "b"), Task("multi-label", ("a", "b")))


def test_labels_that_differ_in_case_alone_are_read_as_written():
    task = Task("classes", ("Other", "other"))
    table = DataTable("t", {"text": ["a", "b"], "label": ["other", "Other"]}, {})
    assert [int(label) for label in read_labels(table, ("label",), task)] == [1, 0]
