import numpy as np
import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.columns import texts_in
from prensa.texts.references import read_references
from prensa.texts.source import Source
from prensa.texts.table import DataTable

QUESTIONS = Task("questions")


def table(*answers, **more):
    count = len(answers)
    columns = {"id": range(count), "context": ["some context"] * count, "question": ["who?"] * count}
    return DataTable("squad.jsonl", {**columns, "answers": list(answers), **more})


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("Denver Broncos", ["Denver Broncos"]),
        (["a", "b"], ["a", "b"]),
        ({"text": ["a", "b"], "answer_start": [3, 3]}, ["a", "b"]),
        ({"text": "a"}, ["a"]),
        ({"text": [], "answer_start": []}, [""]),
        ('{"text": ["a"], "answer_start": [3]}', ["a"]),
        ("{'text': ['a'], 'answer_start': [3]}", ["a"]),
        ('["a", "b"]', ["a", "b"]),
        ("[citation needed]", ["[citation needed]"]),
        (1990, ["1990"]),
        ("none", ["none"]),
        ("{x} is a set", ["{x} is a set"]),
    ],
)
def test_ways_to_write_an_answer(cell, answers):
    (label,) = read_references(table(cell), "answers", QUESTIONS, ()).rows
    assert label.tolist() == answers
    assert label.dtype.kind == "U"


@pytest.mark.parametrize(
    "cell", [{"start": 3}, {"text": [3]}, [3], "{'text': array(['a'], dtype=object)}", True]
)
def test_what_is_no_answer(cell):
    with pytest.raises(DataError, match=r"squad.jsonl: row 2, column 'answers': expected a text, a list of"):
        read_references(table("a", cell), "answers", QUESTIONS, ())


def test_a_text_to_be_written_is_what_it_is():
    cells = ["{'text': 3}", '["a", "b"]', ["a", "b"]]
    first, second, third = read_references(table(*cells), "answers", Task("writing"), ()).rows
    assert (first.tolist(), second.tolist()) == (cells[:1], cells[1:2])
    assert third.tolist() == ["a", "b"]


def test_a_file_of_questions():
    found = texts_in(table(["a"], None, {"text": []}, "b"), Source("squad.jsonl"), QUESTIONS)
    assert found.columns == ("question", "context")
    assert (found.texts[0], found.pairs[0]) == ("who?", "some context")
    assert [label.tolist() for label in found.labels] == [["a"], [""], ["b"]]
    assert "labels in 'answers': 3 with right answers, 1 of them without any in the context" in found.account
    assert "1 row left out: 1 without a label" in found.account
    assert texts_in(table("a"), Source("x", label_column=""), QUESTIONS).labels is None
    # To calibrate on, too, without any option.
    assert texts_in(table("a"), Source("x"), None).columns == ("question", "context")
    named = texts_in(table("a", text=["t"]), Source("x", text_column="question,context"), QUESTIONS)
    assert named.columns == ("question", "context")
    assert np.array_equal(named.take([0]).labels[0], ["a"])


@pytest.mark.parametrize(
    ("columns", "source", "message"),
    [
        (
            {"question": ["a"], "text": ["b"]},
            {},
            "give both columns, in this order, as `text_column=question,",
        ),
        ({"question": ["a"], "context": ["b"]}, {"text_column": "question"}, "a question and its context"),
        (
            {"question": ["a"], "context": ["b"], "answer": ["c"]},
            {"labels": "a=b"},
            "answers in words, which",
        ),
    ],
)
def test_what_is_missing(columns, source, message):
    with pytest.raises(DataError, match=message):
        texts_in(DataTable("d.csv", columns), Source("d.csv", **source), QUESTIONS)
