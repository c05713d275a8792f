"""A record keeps short texts of the user's that its runtime answered no worse than texts on the whole."""

import json

import numpy as np
import pytest
from tests.serving.test_ways import NAMES, encoded

from prensa.errors import DifferentAnswersError
from prensa.serving.exported import FILE, TOLERANCES, Record, apart_on_record, check, read_record
from prensa.serving.recording import compare
from prensa.serving.ways import InBatches

LENGTHS = [3, 9, 4, 4, 12, 3, 30, 5, 200, 8, 7, 6, 15, 22, 11, 10]
TEXTS = encoded(LENGTHS)


def exact(inputs):
    ids = inputs["input_ids"].astype(np.float32)
    return [np.stack([ids, np.sin(ids), ids**2], axis=-1)]


def nearly(inputs):
    """Answer longer texts worse."""
    return [exact(inputs)[0] + np.float32(inputs["input_ids"].shape[1] / 20)]


def record_of(engine, precision="int8"):
    compared = compare(engine, NAMES, InBatches(exact, NAMES, "one by one"), TEXTS)
    kept = compared.kept(TEXTS)
    record = Record(
        "onnxruntime", precision, NAMES, "logits", 512, "texts", compared.total.distance,
        tuple(TEXTS.rows[i] for i in kept), tuple(compared.answer(i) for i in kept), None, compared.total.scale,
    )  # fmt: skip
    return record, kept


@pytest.mark.parametrize("engine", [exact, nearly])
def test_what_was_recorded_is_found_again(engine, tmp_path):
    record, kept = record_of(engine)
    record.save(tmp_path)
    assert read_record(tmp_path) == record
    assert apart_on_record(record, engine) <= record.difference
    assert 1 <= len(kept) <= 8
    assert sum(LENGTHS[i] for i in kept) <= 512
    assert len({tuple(row["input_ids"]) for row in record.rows}) == len(kept)


def test_a_text_that_was_answered_badly_is_not_kept():
    bad = TEXTS.rows[0]["input_ids"]

    def engine(inputs):
        wrong = inputs["input_ids"][0].tolist() == bad
        return [exact(inputs)[0] * (5 if wrong else 1)]

    record, kept = record_of(engine)
    assert 0 not in kept
    check(record, engine, "here")


def test_another_machine_is_held_to_the_tolerance_of_the_export():
    record, _ = record_of(exact)
    scale = record.scale
    for times, fine in ((0.9, True), (1.1, False)):

        def engine(inputs, times=times):
            return [exact(inputs)[0] + np.float32(times * TOLERANCES["int8"] * scale)]

        if fine:
            check(record, engine, "here")
        else:
            with pytest.raises(
                DifferentAnswersError, match="here: onnxruntime in int8 gives different answers"
            ):
                check(record, engine, "here")


def test_a_record_of_version_1_is_still_read_and_checked(tmp_path):
    """It has no scale, and the first numbers of each answer."""
    rows = TEXTS.rows[:4]
    answers = [
        exact({"input_ids": np.array([row["input_ids"]])})[0].reshape(-1)[:256].tolist() for row in rows
    ]
    content = {
        "version": 1, "runtime": "onnxruntime", "precision": "fp32", "inputs": list(NAMES), "output": "logits",
        "longest": 32, "texts": "built-in texts", "difference": 0.1, "rows": rows, "answers": answers,
        "drop": None, "prensa_version": "0.1.0",
    }  # fmt: skip
    (tmp_path / FILE).write_text(json.dumps(content))
    record = read_record(tmp_path)
    check(record, exact, tmp_path)
    with pytest.raises(DifferentAnswersError, match="gives different answers"):
        check(record, nearly, tmp_path)
