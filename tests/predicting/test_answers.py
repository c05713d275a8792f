"""Answers as columns: what ``predict`` of a served model gives, and reasons where it gives nothing."""

from collections import Counter

import numpy as np
import pytest

from prensa.checkpoint.roles import load_config
from prensa.errors import DataError, ModelError
from prensa.predicting.answers import answer_rows, form_of, problem_of
from prensa.serving.answers import Answer

TEXTS = ["a b", "c d e f", "", "g"]
NAMES = {
    "classes": ["label", "score"],
    "multi-label": ["score_rude", "score_toxic"],
    "reranker": ["score"],
    "number": ["score"],
    "embedding": ["embedding"],
    "words": ["entities"],
    "questions": ["answer", "score", "start", "end"],
}


def form_for(path, prefix="", *, all_scores=False, is_strict=False):
    return form_of(path, load_config(path), prefix, all_scores=all_scores, is_strict=is_strict)


@pytest.mark.parametrize("task", NAMES)
def test_columns_of_each_task(path_of, served_for, task):
    form = form_for(path_of(task))
    assert [column.name for column in form.columns] == [*NAMES[task], "problem"]
    columns, inputs = [TEXTS], TEXTS
    if task == "questions":
        columns = [["who a?", "c", "who", "g"], ["a b c d", "c d", "e", "f g"]]
        inputs = list(zip(*columns, strict=True))
    answered = answer_rows(served_for(task), form, columns)
    assert not answered.problems
    for row, answer in zip(answered.rows, served_for(task).predict(inputs), strict=True):
        assert row["problem"] is None
        assert same(task, row, answer)


def same(task, row, answer):
    span = next(iter(answer.spans), None)
    scores = list(answer.scores.values())
    spans = [(each.label, each.text) for each in answer.spans]
    compare = {
        "classes": lambda: row["label"] == answer.label and np.float32(row["score"]) == scores[0],
        "multi-label": lambda: all(
            np.float32(row[f"score_{name}"]) == score for name, score in answer.scores.items()
        ),
        "reranker": lambda: np.float32(row["score"]) == scores[0],
        "number": lambda: np.float32(row["score"]) == answer.output[0],
        "embedding": lambda: np.allclose(row["embedding"], answer.output, atol=1e-6),
        "words": lambda: [(each["label"], each["text"]) for each in row["entities"]] == spans,
        "questions": lambda: (row["answer"], row["start"]) == (span.text, span.start),
    }
    return compare[task]()


def test_all_scores_and_a_prefix(path_of, served_for):
    form = form_for(path_of("classes"), "my_", all_scores=True)
    [row] = answer_rows(served_for("classes"), form, [["a b"]]).rows
    of_labels = {name: row[f"my_score_{name}"] for name in ("contradiction", "neutral", "entailment")}
    assert row["my_label"] == max(of_labels, key=of_labels.get)
    assert row["my_score"] == max(of_labels.values())
    assert sum(of_labels.values()) == pytest.approx(1)
    assert row["my_problem"] is None


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (None, "no text"),
        (float("nan"), "no text"),
        (3, "int instead of a text"),
        ([1], "list instead of a text"),
        ("a\ud800", "half of a surrogate pair in the text"),
    ],
)
def test_rows_without_a_text_have_a_reason_and_the_others_an_answer(path_of, served_for, cell, problem):
    form = form_for(path_of("classes"))
    answered = answer_rows(served_for("classes"), form, [["a", cell, ["b", "c"]]])
    assert [row["problem"] for row in answered.rows] == [None, problem, None]
    assert answered.rows[1]["label"] is None
    assert answered.rows[2]["label"] is not None
    assert answered.problems == Counter({problem: 1})
    assert problem_of([cell]) == problem_of(["a", cell]) == problem


def test_a_question_that_leaves_no_room_fails_alone(path_of, served_for):
    form = form_for(path_of("questions"))
    columns = [["who?", "a " * 40, "what?"], ["a b", "c", "d e"]]
    answered = answer_rows(served_for("questions"), form, columns)
    first, second, third = (row["problem"] for row in answered.rows)
    assert first is third is None
    assert second.startswith("the question has")


class Failing:
    """Fails on texts that begin with x, and answers nothing where a text is n."""

    def __init__(self, error):
        self.error = error

    def attempted(self, inputs, *, batch_size):
        if any(text.startswith("x") for text in inputs):
            raise self.error
        for text in inputs:
            output = np.array([np.nan if text == "n" else 1.0, 0.0, 0.0], dtype=np.float32)
            yield Answer(output, {"contradiction": 0.9, "neutral": 0.06, "entailment": 0.04})


def test_a_text_that_the_model_fails_on_fails_alone(path_of):
    form = form_for(path_of("classes"))
    answered = answer_rows(Failing(RuntimeError("broken\nkernel")), form, [[*"abcdefg", "x1", "n", "x2"]])
    problems = [row["problem"] for row in answered.rows]
    assert problems == [None] * 7 + ["broken", "the model gave no number (NaN or infinity)", "broken"]
    assert answered.rows[8]["label"] is None


def test_a_model_that_fails_on_everything_is_an_error(path_of):
    form = form_for(path_of("classes"))
    with pytest.raises(ModelError, match="no memory"):
        answer_rows(Failing(ModelError("no memory")), form, [["x", None, "xy"]])
    # One text alone says nothing about a model.
    assert (
        answer_rows(Failing(ModelError("no memory")), form, [["x", None]]).rows[0]["problem"] == "no memory"
    )
    # Texts that are to blame are not the model's fault.
    assert (
        answer_rows(Failing(DataError("predict(): input 0: odd")), form, [["x"]]).rows[0]["problem"] == "odd"
    )


def test_a_model_without_answers_is_refused(model):
    with pytest.raises(DataError, match="predict has no answers"):
        form_for_masked = load_config(model)
        form_for_masked.architectures = ["DebertaV2ForMaskedLM"]
        form_of(model, form_for_masked, "", all_scores=False, is_strict=False)
