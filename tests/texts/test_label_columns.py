import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.label_columns import label_columns_of, unused_labels
from prensa.texts.table import DataTable

NAMES = ("rude", "hate", "spam")
TABLE = DataTable(
    "t",
    {"text": ["a", "b"], "Rude": [0, 1], "hate": [0, 0], "spam": [1, 1], "n": [5, 6]},
)


def chosen(wanted, labels=NAMES, kind="multi-label", mapping=None):
    return label_columns_of(TABLE, wanted, Task(kind, labels), ("text",), mapping)


def test_columns_are_in_the_order_of_the_labels():
    assert chosen(None) == ("Rude", "hate", "spam")
    assert chosen("spam,rude,hate") == ("Rude", "hate", "spam")
    assert chosen("spam,rude,hate", ("a", "b", "c")) == ("spam", "Rude", "hate")
    mapping = {"spam": "x", "hate": "y"}
    assert chosen("hate,spam,rude", ("rude", "x", "y"), mapping=mapping) == ("Rude", "spam", "hate")
    assert chosen(None, ("a", "b", "c")) == ()
    assert chosen("") == ()


@pytest.mark.parametrize(
    ("wanted", "labels", "kind", "message"),
    [
        (
            "rude,hate",
            NAMES,
            "multi-label",
            "2 columns of labels .*, expected one for each of rude, hate, spam",
        ),
        ("rude,rude,hate", NAMES, "multi-label", "3 columns of labels"),
        ("rude,hate", (), "regression", "2 columns of labels .*, expected one"),
        ("rude,x,hate", NAMES, "multi-label", "no column 'x' for the labels; there are text, Rude"),
        ("spam,rude,hate", ("rude", "x", "y"), "multi-label", "'Rude' is called like the model's label 0"),
    ],
)
def test_columns_that_do_not_fit(wanted, labels, kind, message):
    with pytest.raises(DataError, match=message):
        chosen(wanted, labels, kind)


def test_columns_that_look_like_labels_and_are_not_used_are_said():
    assert unused_labels(TABLE, Task("multi-label", ("a", "b", "c")), ("text",)) == (
        "no labels: 3 columns of 0 and 1 are not used ('Rude', 'hate', 'spam'); "
        "`label_column=Rude,hate,spam` takes them in the order of the model's labels"
    )
    assert "one for each of the model's labels (a, b)" in unused_labels(
        TABLE, Task("multi-label", ("a", "b")), ("text",)
    )
    assert "`label_column=Rude,hate,spam` takes them" in unused_labels(
        TABLE, Task("classes", NAMES), ("text",)
    )
    assert "give `label_column=Rude`" in unused_labels(TABLE, Task("classes", ("a", "b")), ("text",))
    assert not unused_labels(TABLE, Task("regression"), ("text",))
    assert not unused_labels(DataTable("t", {"text": ["a"], "n": [5]}), Task("classes", NAMES), ("text",))
