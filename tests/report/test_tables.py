import dataclasses

import pytest
from tests.sample import EVALUATION

from prensa.checkpoint.kinds import Task
from prensa.evaluation.results import Memory
from prensa.report.tables import computed_in, remarks, tables


def table(title, evaluation=EVALUATION):
    return next(each for each in tables(evaluation) if each.title == title)


def with_result(**changes):
    return dataclasses.replace(EVALUATION, results=(dataclasses.replace(EVALUATION.results[0], **changes),))


def test_sizes():
    rows = {row[0]: row[1:] for row in table("Size on disk").rows}
    assert rows["weight files"] == ("90.87 MB", "18.97 MB")
    assert rows["of the original's"] == ("100.0 %", "20.9 %")
    assert rows["of float32"] == ("100.0 %", "20.9 %")
    assert rows["all files"] == ("91.57 MB", "38.64 MB")


def test_speed():
    found = table("Speed")
    assert found.columns == ("", "original", "int8", "times as fast")
    assert found.rows[1] == (
        "1 text of 40 tokens",
        "21.5 ms, 23.0 ms",
        "17.2 ms, 18.4 ms",
        "1.25 (1.25 to 1.25)",
    )
    assert found.rows[3] == (
        "32 texts of 44 tokens",
        "103.2 a second",
        "129.0 a second",
        "1.25 (1.25 to 1.25)",
    )


def test_a_folded_original_stands_beside_it():
    folded = dataclasses.replace(EVALUATION, folded=EVALUATION.results[0].timings)
    found = table("Speed", folded)
    assert found.columns[:4] == ("", "original", "original, folded", "times as fast")
    assert found.rows[1][2:4] == ("17.2 ms, 18.4 ms", "1.25 (1.25 to 1.25)")


def test_what_was_not_measured_is_a_dash_or_no_table_at_all():
    assert table("Speed", with_result(timings=())).rows[0][2:] == ("–", "–")
    assert table("Loading and memory", with_result(memory=None)).rows[0] == ("time to load", "30.0 ms", "–")
    nothing = dataclasses.replace(EVALUATION.original, timings=(), memory=None)
    bare = dataclasses.replace(with_result(timings=(), memory=None, quality=None), original=nothing)
    assert [each.title for each in tables(bare)] == ["Size on disk"]


def test_memory_of_an_accelerator_has_a_row():
    memory = Memory((0.1,), 1_000_000, 2_000_000, 3_000_000)
    found = table("Loading and memory", with_result(memory=memory))
    assert found.rows[-1] == ("peak memory of the accelerator", "–", "3.00 MB")
    assert len(table("Loading and memory").rows) == 3


def test_quality():
    found = table("Quality")
    assert found.columns == ("", "original", "int8", "difference (95 % interval)")
    assert found.rows[0] == ("accuracy", "92.00 %", "91.70 %", "−0.30 (−0.80 to +0.10)")
    assert found.rows[3] == ("ROC-AUC", "–", "–", "–")
    assert "ROC-AUC: needs right answers of at least two classes." in found.note
    assert "19 answers that only the original has right, 7 that only the result" in found.note
    assert "p = 0.029" in found.note


def test_several_results_stand_side_by_side():
    first = EVALUATION.results[0]
    second = dataclasses.replace(first, name="other", quality=None)
    both = dataclasses.replace(EVALUATION, results=(second, first))
    found = table("Quality", both)
    assert found.columns == (
        "",
        "original",
        "other",
        "difference (95 % interval)",
        "int8",
        "difference (95 % interval)",
    )
    assert found.rows[0] == ("accuracy", "92.00 %", "–", "–", "91.70 %", "−0.30 (−0.80 to +0.10)")
    assert table("Beside the original's answers", both).rows[0] == ("same answer", "–", "98.90 %")


def test_numbers_stand_beside_their_own_names():
    first = EVALUATION.results[0]
    fewer = dataclasses.replace(
        first.quality, figures=first.quality.figures[1:], metrics=first.quality.metrics[2:]
    )
    both = dataclasses.replace(
        EVALUATION, results=(dataclasses.replace(first, name="x", quality=fewer), first)
    )
    rows = {
        row[0]: row[1:]
        for title in ("Quality", "Beside the original's answers")
        for row in table(title, both).rows
    }
    assert rows["same answer"] == ("–", "98.90 %")
    assert rows["mean divergence (KL, nats)"] == ("0.001240", "0.001240")
    assert rows["accuracy"] == ("92.00 %", "–", "–", "91.70 %", "−0.30 (−0.80 to +0.10)")


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"is_smoke_test": True}, "These are built-in texts, a smoke test"),
        ({"labelled": False}, "The texts have no labels"),
        ({"truncated": 12}, "12 of 3,000 texts were longer than 512 tokens and were truncated."),
        ({"measured": 100}, "Interrupted: 100 of 3,000 texts were answered."),
    ],
)
def test_remarks(changes, remark):
    found = remarks(dataclasses.replace(EVALUATION, data=dataclasses.replace(EVALUATION.data, **changes)))
    assert any(remark in each for each in found)


def test_remarks_that_do_not_apply():
    data = dataclasses.replace(EVALUATION.data, truncated=0)
    assert remarks(dataclasses.replace(EVALUATION, data=data)) == []
    unlabelled = dataclasses.replace(data, labelled=False)
    assert not remarks(dataclasses.replace(EVALUATION, data=unlabelled, task=Task("causal")))
    problem = dataclasses.replace(EVALUATION, data=data, problems=("int8: no memory",))
    assert remarks(problem) == ["Not measured: int8: no memory"]
    assert remarks(dataclasses.replace(EVALUATION, data=data, missing=("speed", "memory"))) == [
        "Interrupted: speed, memory not measured, or not to the end."
    ]


def test_a_processor_is_named_with_what_its_times_depend_on():
    assert computed_in(EVALUATION) == "A processor with avx2 avx512_vnni, float32"
    plain = dataclasses.replace(EVALUATION.machine, instruction_sets=("avx", "fma", "f16c"))
    assert computed_in(dataclasses.replace(EVALUATION, machine=plain)) == "A processor, float32"
    graphics = dataclasses.replace(EVALUATION.machine, accelerator="A card")
    assert computed_in(dataclasses.replace(EVALUATION, machine=graphics)) == "A card, float32"
