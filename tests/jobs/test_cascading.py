"""``prensa.load(small, then=original)``: the threshold given, or chosen on texts."""

import json
import logging
import os
import random
import shutil

import numpy as np
import pytest
from tests.serving.test_answers import without_numbers
from tests.serving.test_cascade import classifier, load, shaken

import prensa
from prensa.errors import DataError, DifferentAnswersError, ModelError, PrensaError, SettingError
from prensa.jobs import cascade_choice, cascading
from prensa.jobs.cascade_memory import Chosen
from prensa.texts.columns import Texts

TEXTS = ["".join(random.Random(n).choices("abcdefghij ", k=1 + n % 20)) for n in range(600)]
IN_PYTORCH = {"runtime": "torch", "dtype": "float32"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("cascading")
    original = classifier(place / "original")
    return shaken(original, place / "small", by=0.04), original


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def labels(served):
    return [answer.label for answer in served.predict(TEXTS)]


def same(one, other):
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def test_the_threshold_is_chosen_and_can_be_given(models, tmp_path):
    small, original = models
    path = tmp_path / "texts.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",whatever\n' for text in TEXTS if text.strip()))
    chosen = prensa.load(small, then=original, min_agreement="95%", texts=TEXTS, **IN_PYTORCH)
    before = same(labels(chosen.small), labels(chosen.original))
    after = same(labels(chosen), labels(chosen.original))
    assert before < 0.95 <= after
    assert 0 < chosen.passed_on < chosen.answered == len(TEXTS)
    assert f"threshold {chosen.threshold:g}: " in chosen.account

    again = prensa.load(small, then=original, threshold=chosen.threshold, **IN_PYTORCH)
    assert again.threshold == chosen.threshold
    assert labels(again) == labels(chosen)
    # From a file, too, whatever its labels are.
    from_file = prensa.load(small, then=original, min_agreement=0.95, texts=path, **IN_PYTORCH)
    assert from_file.threshold > 0


def test_a_text_on_which_the_small_model_gives_no_number_goes_on(models):
    small, original = map(load, models)
    texts = Texts("texts", tuple(text for text in TEXTS if text.strip()))
    settings = (original.facts.task, texts, 0.95, lambda *_: None)
    chosen = cascade_choice.choose_threshold(without_numbers(small, 5, np.nan), original, *settings)
    assert chosen.threshold > 0
    with pytest.raises(ModelError, match="the original gives no number .* texts"):
        cascade_choice.choose_threshold(small, without_numbers(original, 5, np.nan), *settings)


def test_the_next_start_does_not_choose_again(models, cache, monkeypatch):
    small, original = models
    settings = {"then": original, "min_agreement": "95%", **IN_PYTORCH}
    chosen = prensa.load(small, texts=TEXTS, **settings)
    assert "earlier start" not in chosen.account
    monkeypatch.setattr(cascade_choice, "choose", None)
    again = prensa.load(small, texts=TEXTS, **settings)
    assert again.threshold == chosen.threshold
    assert again.account == f"{chosen.account}; chosen by an earlier start"
    assert again.answered == 0
    # Whatever is written otherwise and means the same.
    assert prensa.load(small, texts=iter(TEXTS), **{**settings, "min_agreement": 0.95}).threshold


def other_texts(small, original, settings):
    return {**settings, "texts": TEXTS[:-1]}


def another_agreement(small, original, settings):
    return {**settings, "min_agreement": "94%"}


def another_dtype(small, original, settings):
    return {**settings, "dtype": "bfloat16"}


def other_weights(small, original, settings):
    os.utime(original / "model.safetensors", ns=(1, 1))
    return settings


def another_tokenizer(small, original, settings):
    path = small / "tokenizer_config.json"
    path.write_text(path.read_text() + "\n")
    return settings


def a_damaged_choice(small, original, settings):
    for path in (small.parent / "cache" / "choices").iterdir():
        content = json.loads(path.read_text())
        if content["question"]["about"] == "cascade":
            path.write_text(json.dumps(content | {"answer": '{"threshold": "high"}'}))
    return settings


@pytest.mark.parametrize(
    "change",
    [other_texts, another_agreement, another_dtype, other_weights, another_tokenizer, a_damaged_choice],
)
def test_with_anything_else_it_is_chosen_again(models, tmp_path, monkeypatch, change):
    small, original = (shutil.copytree(path, tmp_path / path.name) for path in models)
    chosen = Chosen(0.5, "one line", pays=True)
    asked = []
    monkeypatch.setattr(cascade_choice, "choose_threshold", lambda *_: asked.append(1) or chosen)
    settings = {"then": original, "min_agreement": "95%", "texts": TEXTS, **IN_PYTORCH}
    prensa.load(small, **settings)
    prensa.load(small, **settings)
    assert len(asked) == 1
    settings = change(small, original, settings)
    prensa.load(small, **settings)
    assert len(asked) == 2


@pytest.mark.parametrize("permission", ["allow_new_head", "trust_remote_code"])
def test_a_threshold_of_a_random_head_or_of_code_is_not_kept(models, monkeypatch, permission):
    asked = []
    chosen = Chosen(0.5, "one line", pays=True)
    monkeypatch.setattr(cascade_choice, "choose_threshold", lambda *_: asked.append(1) or chosen)
    small, original = models
    settings = {"then": original, "min_agreement": "95%", "texts": TEXTS, permission: True}
    for _ in range(2):
        prensa.load(small, **settings, **IN_PYTORCH)
    assert len(asked) == 2


def test_where_it_does_not_pay_it_says_so(models, monkeypatch):
    """Two models of one size: whatever goes on is paid twice."""
    small, original = models
    levels = []
    monkeypatch.setattr(cascading._log, "log", lambda level, *_: levels.append(level))
    served = prensa.load(small, then=original, min_agreement=0.97, texts=TEXTS, **IN_PYTORCH)
    from prensa.evaluation.cascade_threshold import Choice
    from prensa.jobs.cascade_choice import account_of

    figure = prensa.evaluation.figures.Figure("same answer", 0.99)
    choice = Choice(0.5, 0.97, "held", 300, 0.4, figure, figure)
    assert "It does not pay: about 0.80 times" in account_of(choice, 0.8)
    assert "about 1.30 times as fast" in account_of(choice, 1.3)
    assert levels == [logging.WARNING if "does not pay" in served.account else logging.INFO]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, SettingError, "one of `min_agreement`.* and `threshold`"),
        ({"min_agreement": 0.9, "threshold": 0.5}, SettingError, "one of `min_agreement`"),
        ({"min_agreement": 0.99}, SettingError, "`min_agreement` needs `texts`"),
        ({"min_agreement": 2, "texts": TEXTS}, SettingError, "must be a share from 0 to 1"),
        ({"min_agreement": 0.99, "texts": TEXTS[:30]}, DataError, "30 texts are too few"),
        ({"min_agreement": 0.999, "texts": TEXTS[:60]}, DataError, "60 texts are too few.*decide"),
        ({"threshold": -1.0}, SettingError, "`threshold` must be"),
        ({"threshold": 0.5, "output_attentions": True}, SettingError, "only for a model without a runtime"),
    ],
)
def test_what_is_asked_for_wrongly(models, settings, error, message):
    small, original = models
    with pytest.raises(error, match=message):
        prensa.load(small, then=original, **IN_PYTORCH, **settings)


def test_what_only_a_cascade_has(models):
    for name, value in {"min_agreement": 0.9, "threshold": 0.5}.items():
        with pytest.raises(SettingError, match=f"`{name}` needs `then`"):
            prensa.load(models[0], **{name: value})


def test_models_are_refused_before_weights_are_read(models, tmp_path, monkeypatch):
    number = classifier(tmp_path / "number", names=("grade",))
    other = classifier(tmp_path / "other", names=("x", "y", "z"))
    monkeypatch.setattr("prensa.jobs.cascading.load_to_serve", None)
    with pytest.raises(ModelError, match="found regression"):
        prensa.load(number, then=number, threshold=0.5)
    with pytest.raises(SettingError, match="other labels"):
        prensa.load(models[0], then=other, threshold=0.5)


def test_an_agreement_that_nothing_confirms_is_an_error(models, monkeypatch):
    from prensa.evaluation import cascade_threshold

    small, original = models
    monkeypatch.setattr(cascade_threshold, "_fewest", lambda *_: 0)
    monkeypatch.setattr(cascade_threshold, "_STRIDES", (1.0,))
    with pytest.raises(DifferentAnswersError, match="no threshold keeps a `min_agreement` of 98.00 %"):
        prensa.load(small, then=original, min_agreement=0.98, texts=TEXTS, **IN_PYTORCH)
    assert issubclass(DifferentAnswersError, PrensaError)


def test_a_server_serves_it_as_one_model(models):
    from tests.server.running import running

    small, original = models
    served = prensa.load(small, then=original, threshold=0.6, **IN_PYTORCH)
    right = [answer.label for answer in served.predict(TEXTS[:8])]
    passed_on = served.passed_on
    assert 0 < passed_on < 8
    with running(served) as server:
        reply = server.post("/predict", {"inputs": [[text] for text in TEXTS[:8]]})
        info, metrics = server.get("/info").content, server.get("/metrics").text
    assert reply.status == 200
    assert [scores[0]["label"] for scores in reply.content] == right
    assert served.answered == 16
    assert info["cascade"] == {
        "threshold": 0.6,
        "original_runtime": "torch",
        "original_dtype": "float32",
    }
    assert f'prensa_cascade_texts_total{{model="small"}} {16 - 2 * passed_on}.0' in metrics
    assert f'prensa_cascade_texts_total{{model="original"}} {2 * passed_on}.0' in metrics
    with running(served.small) as server:
        assert server.get("/info").content["cascade"] is None
        assert "prensa_cascade" not in server.get("/metrics").text
