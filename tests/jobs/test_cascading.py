"""``prensa.load(small, then=original)``: the threshold given, or chosen on texts."""

import random

import pytest
from tests.serving.test_cascade import classifier, shaken

import prensa
from prensa.errors import DataError, DifferentAnswersError, ModelError, PrensaError, SettingError

TEXTS = ["".join(random.Random(n).choices("abcdefghij ", k=1 + n % 20)) for n in range(600)]
IN_PYTORCH = {"runtime": "torch", "dtype": "float32"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("cascading")
    original = classifier(place / "original")
    return shaken(original, place / "small", by=0.04), original


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


def test_where_it_does_not_pay_it_says_so(models, caplog):
    """Two models of one size: whatever goes on is paid twice."""
    small, original = models
    served = prensa.load(small, then=original, min_agreement=0.97, texts=TEXTS, **IN_PYTORCH)
    from prensa.evaluation.threshold import Choice
    from prensa.jobs.cascading import account_of

    figure = prensa.evaluation.figures.Figure("same answer", 0.99)
    choice = Choice(0.5, 0.97, "held", 300, 0.4, figure, figure)
    assert "It does not pay: about 0.80 times" in account_of(choice, 0.8)
    assert "about 1.30 times as fast" in account_of(choice, 1.3)
    assert ("does not pay" in served.account) == ("does not pay" in caplog.text)


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
    from prensa.evaluation import threshold

    small, original = models
    monkeypatch.setattr(threshold, "_fewest", lambda *_: 0)
    monkeypatch.setattr(threshold, "_STRIDES", (1.0,))
    with pytest.raises(DifferentAnswersError, match="no threshold keeps a `min_agreement` of 98.00 %"):
        prensa.load(small, then=original, min_agreement=0.98, texts=TEXTS, **IN_PYTORCH)
    assert issubclass(DifferentAnswersError, PrensaError)


def test_a_server_serves_it_as_one_model(models):
    from tests.server.running import running

    small, original = models
    served = prensa.load(small, then=original, threshold=0.6, **IN_PYTORCH)
    right = [answer.label for answer in served.predict(TEXTS[:8])]
    with running(served) as server:
        reply = server.post("/predict", {"inputs": [[text] for text in TEXTS[:8]]})
    assert reply.status == 200
    assert [scores[0]["label"] for scores in reply.content] == right
    assert served.answered == 16
