"""Right answers in words: what answers a question, or a text that another is written for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection

import numpy as np

from prensa.checkpoint.kinds import Kind, Task
from prensa.errors import DataError
from prensa.texts.cells import as_list
from prensa.texts.labelled import Label, Labelled
from prensa.texts.table import Cell, DataTable, is_nothing

IN_WORDS: frozenset[Kind] = frozenset({"questions", "writing"})
"""The kinds of models whose right answers are words."""

# The key of SQuAD's answers that holds their words; the others say where they are in the context.
_WORDS = "text"
# How a text begins that writes such an object.
_OBJECT = re.compile(r"""\s*\{\s*['"](text|answer_start)['"]\s*:""")
# Characters of a cell in a message.
_SHOWN = 60


def read_references(table: DataTable, column: str, task: Task, skipped: Collection[int]) -> Labelled:
    """Read the right answers of every row: a text, a list of texts, or SQuAD's ``{"text": [...], …}``.

    Answers to questions may also be lists and objects as JSON or Python writes them; a text to be written is
    what it is, whatever brackets it begins with. What is empty says that there is no answer: the right one is
    ``""``. Rows with an empty cell have no right answer, and nor have those in
    ``skipped``. Raises :class:`DataError`, naming the row, for anything else.
    """
    rows: list[Label | None] = []
    without = 0
    for row, cell in enumerate(table.columns[column]):
        if row in skipped or is_nothing(cell) or cell == "":
            rows.append(None)
            continue
        answers = [cell] if isinstance(cell, str) and task.kind == "writing" else _answers_in(cell)
        if answers is None:
            raise DataError(
                f"{table.name}: row {row + 1}, column {column!r}: expected a text, a list of texts or "
                f'{{"text": [...]}} as SQuAD has it, found {_shown(cell)}'
            )
        without += not answers
        rows.append(np.array(answers or [""], dtype=np.str_))
    count = sum(row is not None for row in rows)
    account = f"{count:,} with right answers"
    if without:
        account += f", {without:,} of them without any in the context"
    return Labelled(rows, account)


def _answers_in(cell: Cell) -> list[str] | None:
    """Return the answers that a cell holds or writes, None for what holds none."""
    if isinstance(cell, str):
        if _OBJECT.match(cell):
            return _answers_in(_written(cell))
        written = as_list(cell)
        return [cell] if written is None else _words(written)
    if isinstance(cell, dict):
        return _words(cell.get(_WORDS))
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        # A year alone, as tables of JSON may have it.
        return [str(cell)]
    return _words(cell)


def _words(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, (list, tuple)):
        return None
    words = [word for word in value if isinstance(word, str)]
    return words if len(words) == len(value) else None


def _written(text: str) -> Cell:
    """Return the object that a text writes, None if it cannot be read."""
    for read in (json.loads, ast.literal_eval):
        try:
            content: Cell = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return content if isinstance(content, dict) else None
    return None


def _shown(cell: Cell) -> str:
    text = repr(cell)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
