"""Tables with a query, a passage and a score on each row, as query–passage data."""

from __future__ import annotations

from prensa.errors import DataError
from prensa.texts.cells import strings_in
from prensa.texts.collection import Collection
from prensa.texts.ids import as_int
from prensa.texts.names import find, quoted
from prensa.texts.source import Source
from prensa.texts.table import DataTable, is_nothing

COLUMNS = ("query", "passage", "score")


def query_columns(table: DataTable, source: Source) -> tuple[str, str, str] | None:
    """Return the columns of queries, passages and scores, None unless a table has all three.

    Whoever names columns of texts wants those, as pairs: then there are none, either.
    """
    if source.text_option is not None or source.label_option is not None:
        return None
    query, passage, score = (find(name, table.columns) for name in COLUMNS)
    if query is None or passage is None or score is None:
        return None
    return query, passage, score


def collection_in(table: DataTable, columns: tuple[str, str, str]) -> Collection:
    """Take queries, passages and grades out of a table; texts that are the same are one query or passage.

    Rows in which one of the three is missing are left out. Raises :class:`DataError`, naming the row, for a
    score that is no whole number, and for a pair that has two.
    """
    query_column, passage_column, score_column = columns
    queries = strings_in(table, query_column)
    passages = strings_in(table, passage_column)
    grades: dict[str, dict[str, int]] = {}
    left_out = 0
    for row, (query, passage, score) in enumerate(
        zip(queries, passages, table.columns[score_column], strict=True), 1
    ):
        if query is None or passage is None or is_nothing(score):
            left_out += 1
            continue
        grade = as_int(score)
        if grade is None:
            raise DataError(
                f"{table.name}: row {row}, column {score_column!r}: expected a whole number, 0 for a passage "
                f"that is not relevant, found {score!r}"
            )
        own = grades.setdefault(query, {})
        if own.setdefault(passage, grade) != grade:
            raise DataError(
                f"{table.name}: row {row}: the same query and passage as before with the score {grade} "
                f"instead of {own[passage]}; keep one"
            )
    found: list[str] = []
    for own in grades.values():
        found += own
    account = f"{table.name}: {len(table):,} rows read; queries, passages and scores in {quoted(columns)}"
    if left_out:
        account += f"; {left_out:,} rows left out that lack one of them"
    return Collection(
        table.name,
        queries={query: query for query in grades},
        passages=dict(zip(found, found, strict=True)),
        grades=grades,
        has_corpus=False,
        account=account,
        columns=(columns[:2], columns[2:]),
    )
