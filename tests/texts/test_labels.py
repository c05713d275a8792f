import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.ids import IGNORED
from prensa.texts.labels import read_labels
from prensa.texts.table import DataTable

NAMES = ("Non-toxic", "toxic", "Spam")


def read(kind, cells, classes=None, mapping=None):
    table = DataTable("t.csv", {"label": cells}, {"label": classes} if classes else {})
    return [
        None if label is None else label.tolist()
        for label in read_labels(table, ("label",), Task(kind, NAMES), mapping).rows
    ]


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
    assert [int(label) for label in read_labels(table, ("label",), stars).rows] == ids


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
        ("classes", [0, 3, -1, 0.5, -100], r"'3' \(1×\), '0.5' \(1×\), '-100' \(1×\)"),
        ("classes", list("abcdefg"), r"'e' \(1×\) …; it knows"),
        ("multi-label", ["toxic,rude"], "'rude'"),
        ("tokens", ["toxic rude"], "'rude'"),
        ("regression", ["1", "much"], "row 2, column 'label': expected a number, found 'much'"),
        ("regression", ["inf"], "expected a number, found 'inf'"),
    ],
)
def test_bad_labels(kind, cells, message):
    with pytest.raises(DataError, match=message):
        read(kind, cells)


def test_columns_of_marks_hold_zeros_and_ones():
    table = DataTable("t", {"a": ["1", "0"], "b": ["0", "2"]})
    with pytest.raises(DataError, match="row 2, column 'b': expected 0 or 1, found '2'"):
        read_labels(table, ("a", "b"), Task("multi-label", ("a", "b")))


TWO, SENTIMENT = ("fine", "rude"), ("negative", "neutral", "positive")
STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")


def classes(cells, labels=TWO, mapping=None, column="label", names=()):
    table = DataTable("t", {column: cells}, {column: names} if names else {})
    found = read_labels(table, (column,), Task("classes", labels), mapping)
    return [None if label is None else int(label) for label in found.rows], found.account


@pytest.mark.parametrize(
    ("cells", "ids"),
    [
        (["False", "TRUE"], [0, 1]),
        ([False, True, None], [0, 1, None]),
        (["no", "Yes"], [0, 1]),
        (["LABEL_0", "label_1"], [0, 1]),
        (["0", "1", "-1"], [0, 1, None]),
        ([0, 1.0, -1, float("nan"), None], [0, 1, None, None, None]),
        (["fine", "rude", "-1", "", "NA", "nan"], [0, 1, None, None, None, None]),
    ],
)
def test_ways_to_write_two_labels_and_none(cells, ids):
    assert classes(cells)[0] == ids


def test_what_was_understood_is_said():
    assert classes(["False", "True", "True"])[1] == "2 'True' as 'rude', 1 'False' as 'fine'"
    assert classes(["Fine", "fine"])[1] == "1 'fine', 1 'fine', none 'rude'"
    many = Task("classes", tuple(f"name {i}" for i in range(20)))
    found = read_labels(DataTable("t", {"label": list(range(20))}), ("label",), many)
    assert found.account.endswith("12 more")


def test_lists_of_marks_are_counted():
    found = read_labels(DataTable("t", {"label": [[0, 1], [0, 0]]}), ("label",), Task("multi-label", TWO))
    assert found.account == "1 'rude', none 'fine', 1 without any"


def test_rows_without_a_text_are_not_counted():
    table = DataTable("t", {"label": ["0", "1"]})
    found = read_labels(table, ("label",), Task("classes", TWO), skipped={0})
    assert (found.rows[0], found.account) == (None, "1 '1' as 'rude', none 'fine'")


@pytest.mark.parametrize("name", ["non toxic", "NON_TOXIC", "nontoxic", " Non-Toxic"])
def test_separators_in_names_make_no_difference(name):
    assert classes([name, "toxic"], ("non-toxic", "toxic"))[0] == [0, 1]


def test_names_that_would_be_alike_are_taken_as_they_are():
    assert classes(["1-2", "12"], ("1-2", "12"))[0] == [0, 1]
    assert classes(["a b", "a-b"], ("a-b", "a b"))[0] == [1, 0]
    assert classes(["none", "some"], ("none", "some"))[0] == [0, 1]
    with pytest.raises(DataError, match="does not know: 'a_b'"):
        classes(["a_b"], ("a-b", "a b"))


@pytest.mark.parametrize(
    ("cells", "labels", "column", "message"),
    [
        (
            [1, -1],
            TWO,
            "label",
            "holds -1, which may be a label or say that there is none; give `labels` -1=",
        ),
        ([-1, 0], TWO, "label", "holds -1, which may be a label"),
        ([-1, 0, 1], SENTIMENT, "label", "holds -1, which may be a label"),
        ([1, 4], STARS, "label", "may be ids or the numbers in the names; give `labels` 1=1 star,2=2 stars"),
        ([1, 2], ("1", "2", "3"), "label", "give `labels` 1=1,2=2,3=3"),
        ([0, 1], ("toxic", "ok"), "Toxic", "called like the model's label 0, 'toxic'"),
        ([True], ("toxic", "ok"), "toxic", "called like the model's label 0"),
        ([1, 2], TWO, "label", "if the data counts labels from 1, give `labels` 1=fine,2=rude"),
        (["0.1", "0.8"], TWO, "target", "holds shares from 0 to 1, no labels; choose a threshold"),
        ([0, 0.5, 1], TWO, "target", "holds shares from 0 to 1"),
        (["bad"], TWO, "label", "say which is which: `labels` bad=LABEL"),
        (["yes", "0"], TWO, "label", "does not know"),
    ],
)
def test_what_may_mean_two_things_is_refused_with_the_option_that_settles_it(cells, labels, column, message):
    with pytest.raises(DataError, match=message):
        classes(cells, labels, column=column)


def test_a_mapping_settles_it():
    assert classes(["hateful", "ok"], TWO, {"hateful": "rude", "ok": "0"})[0] == [1, 0]
    assert classes([-1, 0, 1], SENTIMENT, {"-1": "negative", "0": "neutral", "1": "positive"})[0] == [0, 1, 2]
    assert classes([1, -1, 0], SENTIMENT, {"-1": ""})[0] == [1, None, 0]
    assert classes([0, 1], ("toxic", "ok"), {"1": "toxic", "0": "ok"}, "toxic")[0] == [1, 0]
    assert classes([0, 1], TWO, {"nice": "fine", "nasty": "rude"}, names=["nasty", "nice"])[0] == [1, 0]
    table = DataTable("t", {"tags": ["O PER", "LOC"]})
    found = read_labels(table, ("tags",), Task("tokens", ("O", "B-P")), {"PER": "B-P", "LOC": ""})
    assert [row.tolist() for row in found.rows] == [[0, 1], [IGNORED]]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"x": "rude"}, "`labels` names 'x', and none of them is in column 'label'"),
        ({"a": "x"}, "`labels` a=x: the model has no label 'x'; it has 0 'fine', 1 'rude'"),
        ({"a": "2"}, "no label '2'"),
    ],
)
def test_mappings_that_lead_nowhere(mapping, message):
    with pytest.raises(DataError, match=message):
        classes(["a"], TWO, mapping)


@pytest.mark.parametrize("cell", ["toxic;spam", "toxic | spam", "['toxic', 'spam']", ("toxic", "spam")])
def test_several_labels_with_other_separators(cell):
    assert read("multi-label", [cell, "toxic"]) == [[0, 1, 1], [0, 1, 0]]


def test_rows_that_nobody_judged_have_no_labels():
    assert read("multi-label", [[-1, -1, -1], [0, 0, 1], float("nan")]) == [None, [0, 0, 1], None]
    assert read("regression", ["1.5", "", "nan", None]) == [1.5, None, None, None]
    assert read("tokens", [[0, 1], None]) == [[0, 1], None]


def test_marks_of_one_label_are_no_ids():
    for cells in (["0", "1"], [True, False], [0, -1]):
        with pytest.raises(DataError, match="holds 0 and 1, and the model gives several labels at once"):
            read("multi-label", cells)
    assert read("multi-label", ["0", "1"], mapping={"0": "toxic", "1": "spam"}) == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("cells", [[[0], [0, 1], []], ["0", "0,1"], ["1;0", "1"], [[1, 0], [1]]])
def test_marks_among_ids_are_refused(cells):
    table, task = DataTable("t", {"label": cells}), Task("multi-label", TWO)
    with pytest.raises(DataError, match="lists that may be marks of both labels, and others that are ids"):
        read_labels(table, ("label",), task)


def test_ids_that_a_mapping_names_are_no_marks():
    table, task = DataTable("t", {"label": [[0], [0, 1], [1, 0], []]}), Task("multi-label", TWO)
    found = read_labels(table, ("label",), task, {"0": "fine", "1": "rude"})
    assert [row.tolist() for row in found.rows] == [[1, 0], [1, 1], [1, 1], [0, 0]]


def test_columns_of_marks():
    columns = {"a": ["1", "0", "-1", "yes"], "b": [True, False, 1, 0]}
    found = read_labels(DataTable("t", columns), ("a", "b"), Task("multi-label", ("x", "b")))
    rows = [None if row is None else row.tolist() for row in found.rows]
    assert rows == [[1, 1], [0, 0], None, [1, 0]]
    assert found.account == "2 'a' as 'x', 1 'b', 1 without any"


def test_a_column_for_each_class():
    columns = {"a": [1, 0], "b": [0, 1]}
    found = read_labels(DataTable("t", columns), ("a", "b"), Task("classes", ("a", "b")))
    assert [int(row) for row in found.rows] == [0, 1]
    with pytest.raises(DataError, match=r"row 2 has 2 labels \(a, b\); the model gives one"):
        read_labels(DataTable("t", {"a": [1, 1], "b": [0, 1]}), ("a", "b"), Task("classes", ("a", "b")))


def test_shares_are_no_marks():
    with pytest.raises(
        DataError, match="row 1, column 'a': expected 0 or 1, found 0.3; the column holds shares"
    ):
        read_labels(DataTable("t", {"a": [0.3], "b": [0]}), ("a", "b"), Task("multi-label", ("a", "b")))


def test_labels_that_differ_in_case_alone_are_read_as_written():
    task = Task("classes", ("Other", "other"))
    table = DataTable("t", {"text": ["a", "b"], "label": ["other", "Other"]}, {})
    assert [int(label) for label in read_labels(table, ("label",), task).rows] == [1, 0]
