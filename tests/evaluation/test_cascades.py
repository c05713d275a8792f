"""A result before the original, in an evaluation: chosen, confirmed, timed beside both, and reported."""

import dataclasses
import json
import random
import shutil

import numpy as np
import pytest
from tests.sample import EVALUATION, QUALITY
from tests.serving.test_cascade import classifier, shaken

from prensa.errors import DataError, ModelError, SettingError
from prensa.evaluation import speed
from prensa.evaluation.cascade_threshold import Choice
from prensa.evaluation.cascades import _chosen_to_time
from prensa.evaluation.figures import Figure
from prensa.evaluation.quality import Outputs
from prensa.evaluation.results import Cascade, Timing
from prensa.evaluation.results_file import load_results
from prensa.report.card import card_text
from prensa.report.cascades import cascade_table
from prensa.report.html import render
from prensa.texts.columns import Texts


def made(factor=2.0, name=EVALUATION.results[0].name, **changes):
    choice = Choice(
        threshold=0.83,
        min_agreement=0.99,
        decision="held",
        texts=2000,
        passed_on=0.15,
        alone=Figure("same answer", 0.951),
        agreement=Figure("same answer", 0.995, interval=(0.992, 0.998)),
    )
    timings = [Timing(40, 64, (seconds, seconds)) for seconds in (1.0, 0.25, 1.0 / factor)]
    return Cascade(name, dataclasses.replace(choice, **changes), QUALITY, *timings)


def reported(cascade):
    return dataclasses.replace(EVALUATION, cascades=(cascade,))


@pytest.fixture
def models(tmp_path):
    original = classifier(tmp_path / "original")
    return original, shaken(original, tmp_path / "small", by=0.02)


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = []
    for number in range(240):
        text = "".join(random.Random(number).choices("abcdefghij ", k=1 + number % 20))
        lines.append(json.dumps({"text": f"x{text}"}))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_result_before_the_original(models, texts, evaluated, monkeypatch):
    original, small = models
    # Padding is looked into before the clock runs, and not by what is timed.
    looked, at_the_clock = [], []
    measure = speed.measure

    def look(model, encoded):
        looked.append(len(encoded.rows))
        return True

    def clocked(*arguments):
        before = len(looked)
        timings = measure(*arguments)
        at_the_clock.append(len(looked) - before)
        return timings

    monkeypatch.setattr("prensa.evaluation.predict.pads_alike", look)
    monkeypatch.setattr(speed, "measure", clocked)
    found = evaluated(original, small, data=texts, cascade="90%", batch_size=16)
    (cascade,) = found.cascades
    assert cascade.result == found.results[0].name
    assert cascade.choice.is_kept
    assert cascade.choice.texts == 120
    assert cascade.choice.agreement.value >= max(0.9, cascade.choice.alone.value)
    assert cascade.quality.agreement == cascade.choice.agreement
    sizes = {timing.batch_size for timing in (cascade.of_original, cascade.of_result, cascade.of_both)}
    assert sizes == {64}
    assert found.settings.cascade == 0.9
    assert not found.missing
    assert looked
    assert set(at_the_clock) == {0}


def test_without_the_option_there_is_none(models, texts, evaluated):
    original, small = models
    found = evaluated(original, small, data=texts, limit=40)
    assert found.cascades == ()
    assert "Cascade" not in {table.title for table in tables_of(found)}


def tables_of(evaluation):
    from prensa.report.tables import tables

    return tables(evaluation)


def test_it_is_refused_before_weights_are_read(models, texts, tmp_path, evaluated):
    original, small = models
    shutil.rmtree(small)
    number = classifier(tmp_path / "number", names=("grade",))
    with pytest.raises(ModelError, match="a cascade needs a classifier of texts, found regression"):
        evaluated(number, number, data=texts, cascade=0.99)
    with pytest.raises(DataError, match="30 texts are too few"):
        evaluated(original, original, data=texts, cascade=0.99, limit=30)
    with pytest.raises(SettingError, match="`cascade` must be a share"):
        evaluated(original, original, data=texts, cascade="101%")


def test_as_large_a_share_is_timed_as_goes_on():
    generator = np.random.default_rng(0)
    logits = np.stack([generator.uniform(0, 4, 1000), np.zeros(1000)], axis=1)
    texts = Texts("texts", tuple(map(str, range(1000))))
    outputs = Outputs(EVALUATION.task, texts, [], list(logits), list(logits))
    outputs = dataclasses.replace(outputs, task=dataclasses.replace(outputs.task, kind="classes"))
    threshold = float(np.quantile(np.tanh(logits[:, 0] / 2), 0.25))
    timed = _chosen_to_time(outputs, threshold)
    going = [index for index in timed if np.tanh(logits[index, 0] / 2) < threshold]
    assert (len(timed), len(set(timed)), len(going)) == (64, 64, 16)


def test_the_table_says_what_it_costs_and_whether_it_pays():
    table = cascade_table(reported(made()))
    (row,) = table.rows
    assert row[1:3] == ("0.83", "15.00 % of the texts")
    assert row[3:5] == ("95.10 %", "99.50 % (99.20 to 99.80)")
    assert row[-1] == "2.00"
    assert "99.00 % the same answer: confirmed, on 2,000 texts" in table.note
    # 0.25 of 0.5 seconds are the result's own.
    assert "the texts that go on take 50.00 % of the time" in table.note
    assert "does not pay" not in table.note
    assert "It does not pay" in cascade_table(reported(made(factor=0.9))).note


@pytest.mark.parametrize(
    ("decision", "words"),
    [("undecided", "too few texts"), ("exceeded", "not confirmed"), ("unknown", "nothing can be judged")],
)
def test_what_is_not_confirmed_is_not_called_so(decision, words):
    assert words in cascade_table(reported(made(decision=decision))).note


def test_it_is_on_the_page_and_each_card_has_its_own(tmp_path):
    evaluation = reported(made())
    assert "→ original" in render(evaluation, {})
    assert "### Cascade" in card_text(evaluation, evaluation.results[0])
    assert "### Cascade" not in card_text(reported(made(name="another")), evaluation.results[0])
    evaluation.save(tmp_path / "results.json")
    assert load_results(tmp_path) == evaluation
