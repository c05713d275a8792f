"""Answers as columns: what each task adds to a row, and what is said of a row that has no answer."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from prensa.checkpoint.kinds import ANSWERED, Kind
from prensa.checkpoint.task import pipeline_tag, task_of, unanswered
from prensa.errors import DataError, first_line
from prensa.serving.answers import NO_NUMBER, Answer, Span
from prensa.serving.served import Served
from prensa.texts.characters import has_half_character
from prensa.texts.given import Wanted
from prensa.texts.table import Cell, is_nothing
from prensa.wording import printable

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PROBLEM = "problem"

Holds = Literal["text", "number", "place", "vector", "spans"]
"""What is in a column: a string, a float, a place in a text, a list of floats, or parts of a text."""

# Texts that `predict` sorts by length together are sixteen times as many. Of vectors, those of all tokens of
# them are in memory at once.
_AT_ONCE = 512
_VECTORS_AT_ONCE = 16
_OF_CALL = re.compile(r"^predict\(\): input \d+:? *")
# Characters of a reason; a runtime's may be anything.
_REASON = 200

# Texts of a window that a model has to fail on, all of them, to be at fault itself.
_SEVERAL = 2

_QUESTIONS = "question-answering"


@dataclass(frozen=True)
class Column:
    """A column that answers add."""

    name: str
    holds: Holds


@dataclass(frozen=True)
class Form:
    """What is written of each answer of a model of a ``kind``, which for questions is ``tokens``.

    ``prefix`` stands before each name. With ``all_scores`` a classifier's answer has a column for each label,
    as the answer of a model of several labels has anyway. ``is_strict`` leaves the column of problems out.
    """

    kind: Kind
    wanted: Wanted
    labels: tuple[str, ...]
    prefix: str = ""
    all_scores: bool = False
    is_strict: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in their order."""
        named = list(self._own)
        if not self.is_strict:
            named.append(Column(PROBLEM, "text"))
        return tuple(Column(self.prefix + column.name, column.holds) for column in named)

    @property
    def _own(self) -> tuple[Column, ...]:
        if self.wanted == "questions":
            places = (Column("start", "place"), Column("end", "place"))
            return (Column("answer", "text"), Column("score", "number"), *places)
        if self.kind == "tokens":
            return (Column("entities", "spans"),)
        if self.kind == "embedding":
            return (Column("embedding", "vector"),)
        if self.kind == "regression":
            return (Column("score", "number"),)
        of_labels = tuple(Column(f"score_{label}", "number") for label in self.labels)
        if self.kind == "multi-label":
            return of_labels
        usual = (Column("label", "text"), Column("score", "number"))
        return (*usual, *of_labels) if self.all_scores else usual

    def row(self, answer: Answer | None, problem: str | None) -> dict[str, Cell]:
        """Return a row's cells by name; without an answer all are None but the problem."""
        cells: list[Cell] = [None for _ in self._own]
        if answer is not None:
            cells = self._cells(answer)
        if not self.is_strict:
            cells.append(problem)
        names = [column.name for column in self.columns]
        return dict(zip(names, cells, strict=True))

    def _cells(self, answer: Answer) -> list[Cell]:
        if self.wanted == "questions":
            # Of a context that nothing was found in, the empty part at its start.
            span = next(iter(answer.spans), Span("", 0.0, 0, 0, ""))
            return [span.text, _short(span.score), span.start, span.end]
        if self.kind == "tokens":
            return [[_plain(span) for span in answer.spans]]
        if self.kind == "embedding":
            return [answer.output]
        scores = [_short(answer.scores[label]) for label in self.labels]
        if self.kind == "regression":
            # Without a label it has no bounds, and is the output itself.
            numbers = [*answer.scores.values(), *answer.output.reshape(-1).tolist()]
            return [_short(numbers[0])]
        if self.kind == "classes":
            highest: list[Cell] = [str(answer.label), max(scores)]
            return highest + scores if self.all_scores else highest
        return list(scores)


@dataclass(frozen=True)
class Answered:
    """The cells that answers add to each row, and how often each problem came."""

    rows: list[Mapping[str, Cell]]
    problems: Counter[str]


NOTHING = Answered([], Counter())
"""The answers to no rows."""


def form_of(
    directory: Path, config: PretrainedConfig, prefix: str, *, all_scores: bool, is_strict: bool
) -> Form:
    """Return what a model's answers are written as. Raises :class:`DataError` where its task has none."""
    if pipeline_tag(config) == _QUESTIONS:
        return Form("tokens", "questions", (), prefix, all_scores, is_strict)
    task = task_of(config)
    if task is None or task.kind not in ANSWERED:
        raise DataError(f"{directory}: predict has no answers: the model {unanswered(config)}")
    wanted: Wanted = "words" if task.kind == "tokens" else "texts"
    return Form(task.kind, wanted, tuple(map(str, task.labels)), prefix, all_scores, is_strict)


def answer_rows(served: Served, form: Form, texts: Sequence[Sequence[Cell]]) -> Answered:
    """Answer a window of rows, given as the cells of its one or two columns of texts.

    This depends on nothing but its arguments, and may run wherever a model is. A row without a text, with a
    cell that is none, or whose text the model fails on, is answered by a reason. Raises what the model raises
    where it fails on every text.
    """
    inputs: list[object] = []
    reasons: list[str | None] = []
    for cells in zip(*texts, strict=True):
        given, reason = _given(cells)
        reasons.append(reason)
        if reason is None:
            inputs.append(given)
    at_once = _VECTORS_AT_ONCE if form.kind == "embedding" else _AT_ONCE
    found = _found(served, inputs, at_once)
    _refuse_if_all_failed(found)
    remaining = iter(found)
    rows: list[Mapping[str, Cell]] = []
    problems: Counter[str] = Counter()
    for known in reasons:
        answer, reason = None, known
        if reason is None:
            answer, reason = _checked(next(remaining))
        if reason is not None:
            problems[reason] += 1
        rows.append(form.row(answer, reason))
    return Answered(rows, problems)


def given_up(form: Form, cells: Sequence[Cell], reason: str) -> Answered:
    """Return a row that has no answer for a reason that no model has given."""
    problem = problem_of(cells) or reason
    return Answered([form.row(None, problem)], Counter({problem: 1}))


def problem_of(cells: Sequence[Cell]) -> str | None:
    """Return why a row with these cells for texts has no answer, as far as its cells show."""
    return _given(cells)[1]


def _given(cells: Sequence[Cell]) -> tuple[object, str | None]:
    """Return what the model is given of a row, or why it has nothing to read."""
    read: list[str] = []
    for cell in cells:
        if is_nothing(cell):
            return None, "no text"
        text = cell
        if isinstance(cell, (list, tuple)) and all(isinstance(word, str) for word in cell):
            # A list of words, as elsewhere.
            text = " ".join(cell)
        if not isinstance(text, str):
            return None, f"{type(cell).__name__} instead of a text"
        if has_half_character(text):
            return None, "half of a surrogate pair in the text"
        read.append(text)
    if len(read) == 1:
        return read[0], None
    return tuple(read), None


def _found(served: Served, inputs: Sequence[object], at_once: int) -> list[Answer | Exception]:
    """Answer inputs; where that fails each half alone, so that one text never fails another one."""
    if not inputs:
        return []
    try:
        return list(served.attempted(inputs, batch_size=at_once))
    except Exception as error:  # noqa: BLE001  whatever a runtime may raise; the row gets it
        if len(inputs) == 1:
            return [error]
    half = len(inputs) // 2
    return _found(served, inputs[:half], at_once) + _found(served, inputs[half:], at_once)


def _refuse_if_all_failed(found: Sequence[Answer | Exception]) -> None:
    """Raise the first error of a model that answers nothing, unless the texts are to blame.

    One text alone says nothing about a model.
    """
    errors = [answer for answer in found if isinstance(answer, Exception)]
    if len(errors) < max(_SEVERAL, len(found)):
        return
    for error in errors:
        if not isinstance(error, DataError):
            raise error


def _checked(answer: Answer | Exception) -> tuple[Answer | None, str | None]:
    if isinstance(answer, Exception):
        reason = _OF_CALL.sub("", printable(first_line(answer)))
        return None, reason[:_REASON]
    if not answer.has_numbers:
        return None, NO_NUMBER
    return answer, None


def _plain(span: Span) -> dict[str, Cell]:
    return dataclasses.asdict(span) | {"score": _short(span.score)}


def _short(score: float) -> float:
    """Return the number of fewest digits that is the same in float32, in which models answer."""
    return float(str(np.float32(score)))
