"""The texts to compare models on: which columns hold them, and which texts are taken."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from prensa.checkpoint.task import Task
from prensa.errors import DataError
from prensa.texts.ids import as_number
from prensa.texts.label_columns import label_columns_of, unused_labels
from prensa.texts.labels import Labelled, Labels, as_list, read_labels
from prensa.texts.names import LABEL_COLUMNS, TEXT_COLUMNS, find, folded, quoted, split_names
from prensa.texts.readers import read_table
from prensa.texts.table import DataTable

BUILT_IN = "built-in texts"

_LONG = 40  # how many of the built-in texts make a very long one


@dataclass(frozen=True)
class Texts:
    """Texts with or without labels.

    ``pairs`` are second texts, for models that read two; ``words`` are the texts' own words where a column
    holds lists of them. ``is_smoke_test`` says that these are the built-in texts. ``account`` is one line
    on what was read: rows, columns, labels and their counts, and which rows were left out and why.
    """

    name: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    labels: Labels | None = None
    columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    is_smoke_test: bool = False
    account: str = ""

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
    encoding: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Texts:
    """Read texts and, where there are any, the labels that ``task`` needs.

    Without ``text_column`` and ``label_column`` the usual names are looked for; an empty ``label_column``
    means that there are no labels. ``text_column`` may be two names with a comma between them, for models
    that read two texts, ``label_column`` a name for each label of the model. In a file without a line of
    names, columns have numbers. ``encoding`` is that of a file that is not UTF-8, ``labels`` leads from the
    data's names of labels to the model's.

    Rows without a text or without a label are left out. Raises :class:`DataError` where a column is missing
    or a cell does not fit.
    """
    asked = [option for option in (text_column, label_column) if option]
    table = read_table(source, split, encoding=encoding, asked=asked)
    if table.by_word and task.kind in {"classes", "multi-label", "regression"}:
        raise DataError(
            f"{table.name}: holds a word and its tag on each line, for models that label words; this one "
            "labels texts: give a table with a column of texts"
        )
    columns = _text_columns(table, text_column)
    label_columns = label_columns_of(table, label_column, task, columns, labels)
    if labels is not None and not label_columns:
        raise DataError(f"{table.name}: --labels, but no column of labels; give --label-column")
    words = _words(table, columns[0])
    if text_column is None:
        _refuse_numbers(table, columns[0])
    texts = _strings(table, columns[0]) if words is None else [_joined(each) for each in words]
    pairs = _strings(table, columns[1]) if columns[1:] else None
    skipped = {row for row, each in enumerate(texts) if each is None}
    if pairs is not None:
        skipped |= {row for row, each in enumerate(pairs) if each is None}
    labelled = read_labels(table, label_columns, task, labels, skipped) if label_columns else None
    kept, left_out = _kept(table, texts, pairs, labelled)
    note = "" if label_columns or label_column == "" else unused_labels(table, task, columns)
    return Texts(
        table.name,
        tuple(texts[i] or "" for i in kept),
        pairs=None if pairs is None else tuple(pairs[i] or "" for i in kept),
        words=None if words is None else tuple(words[i] or () for i in kept),
        labels=None if labelled is None else [row for i in kept if (row := labelled.rows[i]) is not None],
        columns=columns,
        label_columns=label_columns,
        account=_account(table, columns, label_columns, labelled, left_out, note),
    )


def _kept(
    table: DataTable,
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None,
    labelled: Labelled | None,
) -> tuple[list[int], Counter[str]]:
    """Return the rows that have all that is needed, and how many have not, by what they lack."""
    kept: list[int] = []
    left_out: Counter[str] = Counter()
    for row in range(len(table)):
        if texts[row] is None:
            left_out["without a text"] += 1
        elif pairs is not None and pairs[row] is None:
            left_out["without a second text"] += 1
        elif labelled is not None and labelled.rows[row] is None:
            left_out["without a label"] += 1
        else:
            kept.append(row)
    if not kept:
        hint = "; --label-column '' reads the texts alone" if left_out["without a label"] else ""
        raise DataError(f"{table.name}: no row is left of {len(table):,}: {_reasons(left_out)}{hint}")
    return kept, left_out


def _account(
    table: DataTable,
    columns: tuple[str, ...],
    label_columns: tuple[str, ...],
    labelled: Labelled | None,
    left_out: Counter[str],
    note: str,
) -> str:
    rows = f"{len(table):,} {'row' if len(table) == 1 else 'rows'} read"
    notes = f" ({', '.join(table.notes)})" if table.notes else ""
    parts = [f"{rows}{notes}", f"texts in {quoted(columns)}"]
    if labelled is not None:
        parts.append(f"labels in {quoted(label_columns)}: {labelled.account}")
    if left_out:
        rows = "row" if left_out.total() == 1 else "rows"
        parts.append(f"{left_out.total():,} {rows} left out: {_reasons(left_out)}")
    if note:
        parts.append(note)
    return f"{table.name}: {'; '.join(parts)}"


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)


def sample(texts: Texts, limit: int | None) -> Texts:
    """Keep ``limit`` texts drawn at random, the same ones every time, in their order."""
    if limit is None or limit >= len(texts):
        return texts
    return texts.take(sorted(random.Random(0).sample(range(len(texts)), limit)))  # noqa: S311


def _text_columns(table: DataTable, wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        usual = [column for name in TEXT_COLUMNS if (column := find(name, table.columns)) is not None]
        only = next(iter(table.columns)) if len(table.columns) == 1 else None
        if usual or (only is not None and folded(only) not in map(folded, LABEL_COLUMNS)):
            return (*usual, *table.columns)[:1]
        raise DataError(
            f"{table.name}: no column is named {' or '.join(TEXT_COLUMNS)}; {table.found}; give --text-column"
        )
    names = [wanted] if find(wanted, table.columns) is not None else split_names(wanted)
    columns = [find(name, table.columns) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column is None:
            raise DataError(f"{table.name}: no column {name!r} for the texts; {table.found}")
    if not 0 < len(columns) <= 2:  # noqa: PLR2004
        raise DataError(f"{table.name}: a model reads one text or two, found {len(columns)} columns")
    return tuple(column for column in columns if column is not None)


def _words(table: DataTable, column: str) -> list[tuple[str, ...] | None] | None:
    """Return the words of a column of lists, or of lists as JSON or Python writes them in every cell."""
    cells: Sequence[Any] = table.columns[column]
    filled = next((cell for cell in cells if not _is_nothing(cell)), None)
    if isinstance(filled, str) and as_list(filled) is not None:
        lists = [None if _is_nothing(cell) else as_list(cell) for cell in cells]
        if any(each is None and not _is_nothing(cell) for each, cell in zip(lists, cells, strict=True)):
            return None
        cells = lists
    elif not isinstance(filled, (list, tuple)):
        return None
    words: list[tuple[str, ...] | None] = []
    for row, cell in enumerate(cells, 1):
        if _is_nothing(cell):
            words.append(None)
            continue
        if not isinstance(cell, (list, tuple)) or not all(isinstance(word, str) for word in cell):
            raise DataError(f"{table.name}: row {row}, column {column!r}: expected a list of words")
        _refuse_half_characters(table, column, row, "".join(cell))
        words.append(tuple(cell))
    return words


def _joined(words: tuple[str, ...] | None) -> str | None:
    return None if words is None else " ".join(words)


def _strings(table: DataTable, column: str) -> list[str | None]:
    texts: list[str | None] = []
    for row, cell in enumerate(table.columns[column], 1):
        if _is_nothing(cell):
            texts.append(None)
            continue
        if not isinstance(cell, str):
            raise DataError(
                f"{table.name}: row {row}, column {column!r}: expected a text, found {type(cell).__name__}"
            )
        _refuse_half_characters(table, column, row, cell)
        texts.append(cell)
    return texts


def _is_nothing(cell: Any) -> bool:
    """Whether a row has no text. An empty text is one: models answer it."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _refuse_numbers(table: DataTable, column: str) -> None:
    """Refuse a column of numbers that nobody asked for as texts: ids, or labels."""
    cells = [cell for cell in table.columns[column] if not _is_nothing(cell)]
    if cells and all(isinstance(cell, str) and not math.isnan(as_number(cell)) for cell in cells):
        raise DataError(
            f"{table.name}: column {column!r} holds numbers where texts were expected; {table.found}; give "
            "--text-column"
        )


def _refuse_half_characters(table: DataTable, column: str, row: int, text: str) -> None:
    """Refuse what JSON can write and no tokenizer can read."""
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"{table.name}: row {row}, column {column!r} holds half of a surrogate pair")
