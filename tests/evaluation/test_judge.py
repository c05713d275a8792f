"""The judge: the original answers once, results are compared with it, and evaluations ask the same one."""

import pytest
from tests.conftest import add_tokenizer, build_model, change_weights

import prensa
from prensa.errors import ModelError, SettingError
from prensa.evaluation import judge as module
from prensa.evaluation.judge import Judge, plan_judge
from prensa.texts.library import Library
from prensa.texts.source import Source


@pytest.fixture
def judge(original, texts):
    return Judge(plan_judge(original, Source(texts), library=Library(), device="cpu"))


@pytest.fixture
def loaded(monkeypatch):
    """List the models that are loaded."""
    load = module.load_to_compare
    paths = []

    def counted(path, *rest):
        paths.append(path)
        return load(path, *rest)

    monkeypatch.setattr(module, "load_to_compare", counted)
    return paths


def test_the_original_answers_once(judge, original, pressed, loaded, few_resamples):
    first = judge.quality(pressed)
    assert judge.quality(pressed) == first
    assert loaded == [original, pressed, pressed]


def test_only_what_was_not_answered_yet_is_answered(judge, original, loaded):
    some = judge.answers(range(10))
    assert not judge.knows(range(11))
    more = judge.answers(range(5, 15))
    assert loaded == [original, original]
    for index in range(5, 10):
        assert (some[index] == more[index - 5]).all()


def test_an_evaluation_says_what_the_judge_says(judge, original, pressed, texts, quick):
    evaluation = prensa.evaluate(original, pressed, data=texts)
    quality = judge.quality(pressed)
    of_evaluation = evaluation.results[0].quality
    assert of_evaluation.drop.value == pytest.approx(quality.drop.value)
    assert of_evaluation.agreement.value == quality.agreement.value


def test_an_evaluation_does_not_ask_the_original_again(judge, original, pressed, quick, monkeypatch):
    from prensa.evaluation import measure

    judge.answers(range(len(judge.plan.texts)))
    asked = []
    answer = measure.answer_texts

    def counted(models, *rest):
        asked.append(len(models))
        return answer(models, *rest)

    monkeypatch.setattr(measure, "answer_texts", counted)
    prensa.Comparison(original, (pressed,)).plan_with(judge).run()
    assert asked == [1]


def test_its_own_quality_is_perfect(judge):
    quality = judge.own_quality(range(40))
    assert quality.agreement.value == 1
    assert quality.drop.value == 0


def test_language_models_have_no_own_quality(tmp_path, texts):
    model = add_tokenizer(build_model("gpt2", tmp_path / "causal"))
    judge = Judge(plan_judge(model, Source(texts), library=Library(), device="cpu"))
    assert judge.own_quality(range(10)) is None
    assert judge.quality(model, range(10)).drop.value == pytest.approx(0, abs=1e-12)


def test_an_original_that_answers_every_text_alike_is_no_measure(original, texts, pressed):
    change_weights(original, lambda tensors: tensors["classifier.weight"].fill_(0.0))
    judge = Judge(plan_judge(original, Source(texts), library=Library(), device="cpu"))
    with pytest.raises(ModelError, match="gives the same answer to every text"):
        judge.quality(pressed)


@pytest.mark.parametrize("setting", ["batch_size", "max_length"])
def test_numbers_out_of_range(original, setting):
    with pytest.raises(SettingError, match=f"`{setting}` must be at least 1, found 0"):
        plan_judge(original, Source(), library=Library(), **{setting: 0})
