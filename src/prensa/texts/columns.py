"""The texts to compare models on: which columns hold them, and which texts are taken."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import TypeVar

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.cells import Words, refuse_numbers, strings_in, words_in
from prensa.texts.label_columns import columns_named, label_columns_of, unused_labels
from prensa.texts.labelled import Labelled, Labels
from prensa.texts.labels import read_labels
from prensa.texts.names import CONTEXT, LABEL_COLUMNS, QUESTION, TEXT_COLUMNS, find, folded, quoted
from prensa.texts.queries import Queries
from prensa.texts.readers import read_table
from prensa.texts.references import IN_WORDS, read_references
from prensa.texts.source import JUDGED, Source, check_built_in
from prensa.texts.table import DataTable

BUILT_IN = "built-in texts"

# How many of the built-in texts make a very long one.
_LONG = 40
# Kinds of models that label whole texts.
_OF_TEXTS = {"classes", "multi-label", "regression", "questions", "writing"}
# Texts that a model reads together at most.
_PAIR = 2

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Texts:
    """Texts with or without labels.

    ``pairs`` are second texts, for models that read two; ``words`` are the texts' own words where a column
    holds lists of them. ``queries`` says which texts are queries and passages, None where none are.
    ``is_smoke_test`` says that these are the built-in texts. ``account`` is one line on what was read: rows,
    columns, labels and their counts, and which rows were left out and why.
    """

    name: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    words: tuple[Words, ...] | None = None
    labels: Labels | None = None
    queries: Queries | None = None
    columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    is_smoke_test: bool = False
    account: str = ""

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> Texts:
        """Keep the texts at ``indices``, in that order."""
        texts = tuple(map(self.texts.__getitem__, indices))
        pairs, words, labels, queries = None, None, None, None
        if self.queries is not None:
            queries = self.queries.take(indices)
        if self.pairs:
            pairs = tuple(map(self.pairs.__getitem__, indices))
        if self.words:
            words = tuple(map(self.words.__getitem__, indices))
        if self.labels is not None:
            labels = list(map(self.labels.__getitem__, indices))
        return replace(self, texts=texts, pairs=pairs, words=words, labels=labels, queries=queries)


def built_in_texts() -> Texts:
    """Read the texts that come with the package: enough to see that a result works, not how well."""
    file = resources.files(__package__).joinpath("built_in.jsonl")
    texts: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        texts.append(json.loads(line)["text"])
    # Some that are longer than models read, of every other forty.
    for start in range(0, len(texts), 2 * _LONG):
        together = texts[start : start + _LONG]
        texts.append(" ".join(together))
    return Texts(BUILT_IN, tuple(texts), is_smoke_test=True)


def read_texts(source: Source, task: Task | None, *, splits: Sequence[str] = JUDGED) -> Texts:
    """Read texts and, if there are any, the labels that ``task`` needs; None reads the texts alone.

    Without a name these are the built-in texts. If ``source`` names no columns, the usual names are looked
    for; in a file without a line of names, columns have numbers. Of a data set the first of ``splits`` that
    it has is read, unless ``source`` names a split.

    Rows without a text or without a label are left out. Raises :class:`DataError` if a column is missing or a
    cell does not fit, and :class:`~prensa.errors.SettingError` for what such a source does not have.
    """
    if source.name is None:
        check_built_in(source)
        if task is not None and task.kind == "questions":
            raise DataError(
                "built-in texts: the model answers questions, and there are none among them; give `data` "
                "with columns question, context and answers"
            )
        texts = built_in_texts()
    else:
        texts = texts_in(table_of(source, splits), source, task)
    return sample(texts, source.limit)


def table_of(source: Source, splits: Sequence[str]) -> DataTable:
    """Read the table that a source with a name names. Raises what reading it raises."""
    return read_table(
        str(source.name),
        source.split,
        splits=splits,
        encoding=source.encoding,
        asked=source.asked,
    )


def texts_in(table: DataTable, source: Source, task: Task | None) -> Texts:
    """Take the texts and labels out of a table that was read; ``source.limit`` is not applied here."""
    if task is not None and table.by_word and task.kind in _OF_TEXTS:
        # Words joined to texts could be classified, but their tags are no labels of texts.
        raise DataError(
            f"{table.name}: holds a word and its tag on each line, for models that label words; this one "
            "labels texts: give a table with a column of texts"
        )
    columns = text_columns(table, source.text_option, task)
    label_columns = _label_columns(table, source, task, columns)
    words = words_in(table, columns[0])
    # Numbers that were not named as texts are more likely ids, or labels.
    if source.text_column is None:
        refuse_numbers(table, columns[0])
    if words is None:
        texts = strings_in(table, columns[0])
    else:
        texts = list(map(_joined, words))
    pairs = None
    if len(columns) == _PAIR:
        pairs = strings_in(table, columns[1])
    labelled = None
    if task is not None and label_columns:
        # Labels of rows that are left out anyway are not counted.
        skipped = _empty_rows(texts)
        skipped |= _empty_rows(pairs or ())
        labelled = _labelled(table, label_columns, task, source, skipped)
    kept, left_out = _kept(table, texts, pairs, labelled)
    account = [_read_account(table), f"texts in {quoted(columns)}"]
    if labelled is not None:
        names = quoted(label_columns)
        account.append(f"labels in {names}: {labelled.account}")
    if left_out:
        account.append(_left_out_account(left_out))
    if labelled is None:
        account += _unused_account(table, source, task, columns)
    labels = None
    if labelled is not None:
        # A row without a text has no label either: it was skipped.
        labels = [label for label in labelled.rows if label is not None]
    return Texts(
        table.name,
        _taken(texts, kept) or (),
        pairs=_taken(pairs, kept),
        words=_taken(words, kept),
        labels=labels,
        columns=columns,
        label_columns=label_columns,
        account=f"{table.name}: {'; '.join(account)}",
    )


def _labelled(
    table: DataTable, columns: tuple[str, ...], task: Task, source: Source, skipped: set[int]
) -> Labelled:
    """Read the labels of every row, or right answers in words."""
    if task.kind not in IN_WORDS:
        return read_labels(table, columns, task, source.mapping, skipped)
    if source.mapping is not None:
        raise DataError(f"{table.name}: `labels`, but the model answers in words, which are no labels")
    return read_references(table, columns[0], task, skipped)


def sample(texts: Texts, limit: int | None) -> Texts:
    """Keep ``limit`` texts drawn at random, the same ones every time, in their order."""
    if limit is None or limit >= len(texts):
        return texts
    # A separate generator: the program's random numbers are not touched, and change nothing here.
    generator = random.Random(0)
    indices = generator.sample(range(len(texts)), limit)
    return texts.take(sorted(indices))


def text_columns(table: DataTable, wanted: str | None, task: Task | None = None) -> tuple[str, ...]:
    """Return the one or two columns that hold texts: those that are wanted, else by the usual names.

    Raises :class:`DataError` where that settles nothing, and for other than a question and its context where
    that is what the model of ``task`` reads.
    """
    if task is not None and task.kind == "questions":
        return _question_and_context(table, wanted)
    if wanted is not None:
        columns = columns_named(table, wanted, "texts")
        if not 0 < len(columns) <= _PAIR:
            raise DataError(f"{table.name}: a model reads one text or two, found {len(columns)} columns")
        return columns
    for name in TEXT_COLUMNS:
        column = find(name, table.columns)
        if column is not None:
            return (column,)
    in_file = _asked(table)
    if in_file:
        return in_file
    # An only column holds the texts, whatever its name, if it is not called like labels.
    if len(table.columns) == 1:
        (only,) = table.columns
        if folded(only) not in map(folded, LABEL_COLUMNS):
            return (only,)
    raise DataError(
        f"{table.name}: no column is named {' or '.join(TEXT_COLUMNS)}; {table.found}; give `text_column`"
    )


def _question_and_context(table: DataTable, wanted: str | None) -> tuple[str, ...]:
    columns = _asked(table) if wanted is None else columns_named(table, wanted, "texts")
    if len(columns) != _PAIR:
        raise DataError(
            f"{table.name}: the model reads a question and its context; {table.found}; give both columns, in "
            "this order, as `text_column=question,context`"
        )
    return columns


def _asked(table: DataTable) -> tuple[str, ...]:
    """Return the columns of questions and their contexts by their usual names; none without both."""
    found = [find(name, table.columns) for name in (QUESTION, CONTEXT)]
    columns = [column for column in found if column is not None]
    return tuple(columns) if len(columns) == _PAIR else ()


def _label_columns(
    table: DataTable, source: Source, task: Task | None, text_columns: tuple[str, ...]
) -> tuple[str, ...]:
    if task is None:
        return ()
    mapping = source.mapping
    columns = label_columns_of(table, source.label_option, task, text_columns, mapping)
    if mapping is not None and not columns:
        raise DataError(f"{table.name}: `labels`, but no column of labels; give `label_column`")
    return columns


def _joined(words: Words | None) -> str | None:
    if words is None:
        return None
    return " ".join(words)


def _empty_rows(texts: Iterable[str | None]) -> set[int]:
    return {row for row, text in enumerate(texts) if text is None}


def _kept(
    table: DataTable,
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None,
    labelled: Labelled | None,
) -> tuple[list[int], Counter[str]]:
    """Return the rows that have all that is needed, and how many have not, by what they lack."""
    # What is missing first is named: a row is left out once, however much it lacks.
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
        hint = ""
        if left_out["without a label"]:
            hint = "; `label_column=''` reads the texts alone"
        reasons = _reasons(left_out)
        raise DataError(f"{table.name}: no row is left of {len(table):,}: {reasons}{hint}")
    return kept, left_out


def _taken(values: Sequence[_Value | None] | None, kept: Sequence[int]) -> tuple[_Value, ...] | None:
    """Return the values of the rows that are kept, all of which have one; None if no column holds any."""
    if values is None:
        return None
    taken: list[_Value] = []
    for row in kept:
        value = values[row]
        if value is not None:
            taken.append(value)
    return tuple(taken)


def _read_account(table: DataTable) -> str:
    """Say how many rows were read, and what is unusual about the file."""
    rows = "1 row read"
    if len(table) != 1:
        rows = f"{len(table):,} rows read"
    if table.notes:
        rows += f" ({', '.join(table.notes)})"
    return rows


def _unused_account(
    table: DataTable, source: Source, task: Task | None, columns: tuple[str, ...]
) -> list[str]:
    """Say which columns may hold labels and were not taken, unless none were wanted."""
    if task is None or source.label_option == "":
        return []
    note = unused_labels(table, task, columns)
    if not note:
        return []
    return [note]


def _left_out_account(left_out: Counter[str]) -> str:
    rows = "1 row"
    if left_out.total() != 1:
        rows = f"{left_out.total():,} rows"
    return f"{rows} left out: {_reasons(left_out)}"


def _reasons(left_out: Counter[str]) -> str:
    reasons: list[str] = []
    for reason, count in left_out.items():
        if count:
            reasons.append(f"{count:,} {reason}")
    return ", ".join(reasons)
