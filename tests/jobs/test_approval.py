"""An export is judged in the terms of its budget, and refused in its words."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from prensa.errors import DataError, DifferentAnswersError
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Drop, Quality
from prensa.jobs.approval import Approval


def approval(drop, queries):
    judge = SimpleNamespace(
        plan=SimpleNamespace(texts=range(900)), quality=lambda directory: Quality(drop=drop, queries=queries)
    )
    export = SimpleNamespace(model=Path("model"), precision="int8")
    return Approval(judge, Budget(0.01), export)


def test_what_it_loses_is_returned():
    assert approval(Drop("NDCG@10", 0.002, (-0.004, 0.008)), 80)(Path()) == 0.002


def test_queries_are_counted_where_passages_are_ranked():
    with pytest.raises(
        DataError, match="model: 80 queries are too few to decide the budget; about .* queries would"
    ):
        approval(Drop("NDCG@10", 0.0, (-0.1, 0.1)), 80)(Path())
    with pytest.raises(
        DifferentAnswersError, match=r"its NDCG@10 drops by 5.00 points .* on 80 queries, which"
    ):
        approval(Drop("NDCG@10", 0.05, (0.04, 0.06)), 80)(Path())
    with pytest.raises(DataError, match="model: 900 texts are too few"):
        approval(Drop("accuracy", 0.0, (-0.1, 0.1)), 0)(Path())
