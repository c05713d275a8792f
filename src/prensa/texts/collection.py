"""Query–passage data as a model reads it: pairs for a reranker, texts alone for an embedder.

A reranker orders a few passages of each query: those that the data grades and, where there is a corpus,
others that are drawn at random, the same ones every time. An embedder orders the corpus.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.columns import Texts
from prensa.texts.queries import NEITHER, Queries

OTHERS = 10
"""Passages without a grade that a reranker orders beside the graded ones of a query."""

MOST_PASSAGES = 10_000
"""Passages that an embedder orders at most; of more, so many are drawn, and those of the queries stay."""

_FEWEST = 2
_CLASSES = 2
_EXPECTED = (
    "query–passage data is for rerankers (one number, or two classes) and for models that turn a text into a "
    "vector"
)


@dataclass(frozen=True)
class Collection:
    """Queries and passages by their ids, and the grades of passages by the ids of both.

    ``has_corpus`` says that there may be passages without any grade, which are not relevant. ``columns`` are
    those of texts and of grades, if the data is a table. ``account`` says what was read.
    """

    name: str
    queries: Mapping[str, str]
    passages: Mapping[str, str]
    grades: Mapping[str, Mapping[str, int]]
    has_corpus: bool
    account: str
    columns: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def reads_pairs(task: Task) -> bool:
    """Whether a model gives a query and a passage together a score, as rerankers do."""
    return task.kind == "regression" or (task.kind == "classes" and len(task.labels) == _CLASSES)


def ranks(task: Task) -> bool:
    """Whether a model's answers order passages at all."""
    return reads_pairs(task) or task.kind == "embedding"


def texts_in_collection(
    collection: Collection, task: Task | None, limit: int | None = None, *, to_judge: bool = True
) -> Texts:
    """Return the texts that a model of a task reads.

    ``limit`` queries are drawn at random, the same ones every time. Without a task the texts are queries and
    passages alone. ``to_judge`` leaves out queries without a relevant passage.

    Raises :class:`DataError` for a task whose answers order nothing and, to judge, where no passage is
    relevant to any query, where each query's passages are all as relevant, and where there is one query
    alone: an interval needs several.
    """
    if task is not None and not ranks(task):
        raise DataError(f"{collection.name}: {_EXPECTED}; this one is for {task.kind}")
    queries = list(collection.grades)
    if to_judge:
        queries = _with_relevant(collection)
        if not queries:
            raise DataError(
                f"{collection.name}: no passage has a score above 0, so that nothing is to be found"
            )
    if limit is not None and limit < len(queries):
        # A separate generator: the program's random numbers are not touched, and change nothing here.
        drawn = set(random.Random(0).sample(range(len(queries)), limit))
        queries = [query for index, query in enumerate(queries) if index in drawn]
    if to_judge and len(queries) < _FEWEST:
        found = "1 query with a relevant passage"
        if limit == 1:
            found = "1 query taken (`limit` 1)"
        raise DataError(
            f"{collection.name}: {found}; expected several, since an interval says what other queries would "
            "do"
        )
    if task is not None and reads_pairs(task):
        texts = _pairs(collection, queries)
        if to_judge:
            _check_has_choice(collection, texts)
        return texts
    return _alone(collection, queries)


def _with_relevant(collection: Collection) -> list[str]:
    """Return the ids of queries with a relevant passage."""
    queries: list[str] = []
    for query, grades in collection.grades.items():
        if any(grade > 0 for grade in grades.values()):
            queries.append(query)
    return queries


def _pairs(collection: Collection, queries: list[str]) -> Texts:
    """Return each query with its graded passages and, of a corpus, with others."""
    ids = list(collection.passages)
    numbers = {passage: number for number, passage in enumerate(ids)}
    texts: list[str] = []
    pairs: list[str] = []
    query_of: list[int] = []
    passage_of: list[int] = []
    for number, query in enumerate(queries):
        grades = collection.grades[query]
        passages = [*grades, *_others(collection, query, ids)]
        for passage in passages:
            texts.append(collection.queries[query])
            pairs.append(collection.passages[passage])
            query_of.append(number)
            passage_of.append(numbers[passage])
    grades_by_number = _by_number(collection, queries, numbers)
    account = f"{collection.account}; {_counted(collection, queries)}, {len(texts):,} pairs in all"
    if collection.has_corpus:
        account += f": those with a score, and {OTHERS} other passages for each query at random"
    return Texts(
        collection.name,
        tuple(texts),
        pairs=tuple(pairs),
        queries=Queries(tuple(query_of), tuple(passage_of), grades_by_number),
        columns=collection.columns[0],
        label_columns=collection.columns[1],
        account=account,
    )


def _check_has_choice(collection: Collection, texts: Texts) -> None:
    """Raise :class:`DataError` where the passages of each query are as relevant as one another."""
    queries = texts.queries
    if queries is None:
        return
    found: dict[int, set[int]] = {}
    for query, passage in zip(queries.query_of, queries.passage_of, strict=True):
        own = found.setdefault(query, set())
        own.add(queries.grades[query].get(passage, 0))
    if not any(len(own) > 1 for own in found.values()):
        raise DataError(
            f"{collection.name}: the passages of each query have the same score, so that every order is "
            "right; add passages with other scores"
        )


def _others(collection: Collection, query: str, ids: list[str]) -> list[str]:
    """Draw passages of the corpus without a grade for a query, in an order that its id alone decides."""
    if not collection.has_corpus:
        return []
    graded = collection.grades[query]
    # So many that enough are left, whichever of them have a grade.
    count = min(len(ids), OTHERS + len(graded))
    drawn = random.Random(query).sample(ids, count)
    return [passage for passage in drawn if passage not in graded][:OTHERS]


def _alone(collection: Collection, queries: list[str]) -> Texts:
    """Return queries, and behind them passages: all, or as many as are read at most."""
    ids = list(collection.passages)
    numbers = {passage: number for number, passage in enumerate(ids)}
    kept = ids
    if len(ids) > MOST_PASSAGES:
        needed: set[str] = set()
        for query in queries:
            needed.update(collection.grades[query])
        drawn = random.Random(0).sample(ids, MOST_PASSAGES)
        # Those that the queries need stay, whatever was drawn.
        needed.update(drawn[: max(0, MOST_PASSAGES - len(needed))])
        kept = [passage for passage in ids if passage in needed]
    texts = [collection.queries[query] for query in queries]
    texts += [collection.passages[passage] for passage in kept]
    query_of = [*range(len(queries)), *[NEITHER] * len(kept)]
    passage_of = [NEITHER] * len(queries)
    passage_of += [numbers[passage] for passage in kept]
    account = f"{collection.account}; {_counted(collection, queries)}, each among {len(kept):,} passages"
    if len(kept) < len(ids):
        account += ", drawn at random beside those with a score"
    return Texts(
        collection.name,
        tuple(texts),
        queries=Queries(tuple(query_of), tuple(passage_of), _by_number(collection, queries, numbers)),
        columns=collection.columns[0],
        label_columns=collection.columns[1],
        account=account,
    )


def _by_number(
    collection: Collection, queries: list[str], numbers: Mapping[str, int]
) -> dict[int, dict[int, int]]:
    grades: dict[int, dict[int, int]] = {}
    for number, query in enumerate(queries):
        grades[number] = {}
        for passage, grade in collection.grades[query].items():
            grades[number][numbers[passage]] = grade
    return grades


def _counted(collection: Collection, queries: list[str]) -> str:
    text = f"{len(queries):,} queries taken"
    without = len(collection.grades) - len(_with_relevant(collection))
    # To calibrate on all are taken.
    if without and len(queries) < len(collection.grades):
        text += f" ({without:,} without a relevant passage left out)"
    return text
