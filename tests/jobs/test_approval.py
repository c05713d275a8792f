"""An export is judged in the terms of its budget, and refused in its words."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from prensa.errors import DataError, DifferentAnswersError
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import AGREEMENT, Drop, Figure, Quality
from prensa.jobs.approval import Approval
from prensa.serving.exported import Record

RECORD = Record("openvino", "int8", (), "logits", None, "3 texts", 0.01, (), ())


def approval(drop, queries):
    judge = SimpleNamespace(
        plan=SimpleNamespace(texts=range(900)), quality=lambda directory: Quality(drop=drop, queries=queries)
    )
    export = SimpleNamespace(model=Path("model"), precision="int8")
    made = Approval(judge, Budget(0.01), export)
    return lambda record=RECORD: made(Path(), record)


def test_what_it_loses_is_on_the_record():
    record = approval(Drop("NDCG@10", 0.002, (-0.004, 0.008)), 80)()
    assert record.drop == 0.002
    assert record.said == ("its NDCG@10 drops by 0.20 points (95 % interval −0.40 to 0.80) on 80 queries",)


def test_doubts_are_said():
    back = dataclasses.replace(RECORD, back={"layer": 32})
    record = approval(Drop("accuracy", 0.002, (-0.004, 0.012)), 0)(back)
    _, beyond, chosen = record.said
    assert beyond == "kept as measured: the interval goes beyond the budget"
    assert "was chosen by the same texts" in chosen
    # The score stays while most answers are others.
    changed = Quality(
        drop=Drop("accuracy", 0.0, (-0.004, 0.004)), figures=(Figure(AGREEMENT, 0.58, is_share=True),)
    )
    judge = SimpleNamespace(plan=SimpleNamespace(texts=range(900)), quality=lambda directory: changed)
    made = Approval(judge, Budget(0.01), SimpleNamespace(model=Path("model"), precision="int8"))
    assert "58" in made(Path(), RECORD).said[-1]


def test_queries_are_counted_where_passages_are_ranked():
    with pytest.raises(
        DataError, match="model: 80 queries are too few to decide the budget; about .* queries would"
    ):
        approval(Drop("NDCG@10", 0.0, (-0.1, 0.1)), 80)()
    with pytest.raises(
        DifferentAnswersError, match=r"its NDCG@10 drops by 5.00 points .* on 80 queries, which"
    ):
        approval(Drop("NDCG@10", 0.05, (0.04, 0.06)), 80)()
    with pytest.raises(DataError, match="model: 900 texts are too few"):
        approval(Drop("accuracy", 0.0, (-0.1, 0.1)), 0)()
