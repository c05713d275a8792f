"""The texts to compare models on: which columns hold them, and which texts are taken."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from prensa.checkpoint.task import LANGUAGE, Task
from prensa.errors import DataError
from prensa.texts.labels import Labels, read_labels
from prensa.texts.readers import DataTable, read_table

BUILT_IN = "built-in texts"

_TEXT_COLUMNS = ("text", "sentence", "comment_text", "comment", "content", "review", "tokens", "words")
_LABEL_COLUMNS = ("label", "labels", "target", "class", "tags", "ner_tags")
_LONG = 40  # how many of the built-in texts make a very long one


@dataclass(frozen=True)
class Texts:
    """Texts with or without labels.

    ``pairs`` are second texts, for models that read two; ``words`` are the texts' own words where a column
    holds lists of them. ``is_smoke_test`` says that these are the built-in texts.
    """

    name: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    labels: Labels | None = None
    columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    is_smoke_test: bool = False

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> Texts:
        """Keep the texts at ``indices``, in that order."""
        return replace(
            self,
            texts=tuple(self.texts[i] for i in indices),
            pairs=tuple(self.pairs[i] for i in indices) if self.pairs else None,
            words=tuple(self.words[i] for i in indices) if self.words else None,
            labels=[self.labels[i] for i in indices] if self.labels is not None else None,
        )


def built_in_texts() -> Texts:
    """Read the texts that come with the package: enough to see that a result works, not how well."""
    lines = resources.files(__package__).joinpath("built_in.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    texts += [" ".join(texts[start : start + _LONG]) for start in range(0, len(texts), 2 * _LONG)]
    return Texts(BUILT_IN, tuple(texts), is_smoke_test=True)


def read_texts(
    source: str,
    task: Task,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
) -> Texts:
    """Read texts and, where there are any, the labels that ``task`` needs.

    Without ``text_column`` and ``label_column`` the usual names are looked for; an empty ``label_column``
    means that there are no labels. ``text_column`` may be two names with a comma between them, for models
    that read two texts. A multi-label model may have a column
    for each of its labels. Raises :class:`DataError` where a column is missing or a cell does not fit.
    """
    table = read_table(source, split)
    columns = _text_columns(table, text_column)
    label_columns = _label_columns(table, label_column, task, columns)
    words = _words(table, columns[0])
    texts = tuple(map(" ".join, words)) if words else _strings(table, columns[0])
    return Texts(
        table.name,
        texts,
        pairs=_strings(table, columns[1]) if columns[1:] else None,
        words=words,
        labels=read_labels(table, label_columns, task) if label_columns else None,
        columns=columns,
        label_columns=label_columns,
    )


def sample(texts: Texts, limit: int | None) -> Texts:
    """Keep ``limit`` texts drawn at random, the same ones every time, in their order."""
    if limit is None or limit >= len(texts):
        return texts
    return texts.take(sorted(random.Random(0).sample(range(len(texts)), limit)))  # noqa: S311


def _text_columns(table: DataTable, wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        usual = [name for name in _TEXT_COLUMNS if name in table.columns]
        if usual or len(table.columns) == 1:
            return (*usual, *table.columns)[:1]
        raise DataError(
            f"{table.name}: no column is named {' or '.join(_TEXT_COLUMNS)}; {_found(table)}; "
            "give --text-column"
        )
    columns = (wanted,) if wanted in table.columns else tuple(wanted.split(","))
    for name in columns:
        if name not in table.columns:
            raise DataError(f"{table.name}: no column {name!r} for the texts; {_found(table)}")
    if len(columns) > 2:  # noqa: PLR2004
        raise DataError(f"{table.name}: a model reads one text or two, found {len(columns)} columns")
    return columns


def _label_columns(
    table: DataTable, wanted: str | None, task: Task, text_columns: tuple[str, ...]
) -> tuple[str, ...]:
    if wanted == "":
        return ()
    if wanted is not None:
        if wanted not in table.columns:
            raise DataError(f"{table.name}: no column {wanted!r} for the labels; {_found(table)}")
        if task.kind in {"embedding", *LANGUAGE}:
            raise DataError(
                f"{table.name}: labels in {wanted!r}, but the model gives none; leave --label-column out"
            )
        return (wanted,)
    if task.kind in {"embedding", *LANGUAGE}:
        return ()
    if task.kind == "multi-label" and set(task.labels) <= set(table.columns):
        return task.labels
    names = (*_LABEL_COLUMNS, "score") if task.kind == "regression" else _LABEL_COLUMNS
    usual = [name for name in names if name in table.columns and name not in text_columns]
    return tuple(usual[:1])


def _words(table: DataTable, column: str) -> tuple[tuple[str, ...], ...] | None:
    cells = table.columns[column]
    if not isinstance(cells[0], (list, tuple)):
        return None
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, (list, tuple)) or not all(isinstance(word, str) for word in cell):
            raise DataError(f"{table.name}: row {row}, column {column!r}: expected a list of words")
        _refuse_half_characters(table, column, row, "".join(cell))
    return tuple(tuple(cell) for cell in cells)


def _strings(table: DataTable, column: str) -> tuple[str, ...]:
    cells: Sequence[Any] = table.columns[column]
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, str):
            found = "nothing" if cell is None else type(cell).__name__
            raise DataError(f"{table.name}: row {row}, column {column!r}: expected a text, found {found}")
        _refuse_half_characters(table, column, row, cell)
    return tuple(cells)


def _refuse_half_characters(table: DataTable, column: str, row: int, text: str) -> None:
    """Refuse what JSON can write and no tokenizer can read."""
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{table.name}: row {row}, column {column!r} holds half of a surrogate pair")


def _found(table: DataTable) -> str:
    return f"there are {', '.join(table.columns)}"
