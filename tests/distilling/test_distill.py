import copy
import os
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tests.bert import around as with_modules
from tests.bert import bert, pooling
from tests.conftest import add_tokenizer, build_model

from prensa.distilling import pace, teaching
from prensa.distilling import plan as distill_plan
from prensa.distilling.distill import distill, plan_distillation
from prensa.distilling.lessons import lessons_of
from prensa.errors import DataError, FormatError, MissingPackageError, ModelError, SettingError
from prensa.runtime.deberta import FoldedAttention
from prensa.runtime.text_vector import TextVector
from prensa.runtime.torch import load
from prensa.texts.library import Library
from prensa.texts.source import Source

pytest.importorskip("accelerate")

SEVERAL = {"num_labels": 3}
MANY = {"num_labels": 3, "problem_type": "multi_label_classification"}


def embedder(directory):
    return with_modules(bert(directory, "BertModel"), pooling("cls"))


KINDS = {
    "classes": lambda place: bert(place, "BertForSequenceClassification", **SEVERAL),
    "multi-label": lambda place: bert(place, "BertForSequenceClassification", **MANY),
    "regression": lambda place: bert(place, "BertForSequenceClassification", num_labels=1),
    "tokens": lambda place: bert(place, "BertForTokenClassification", **SEVERAL),
    "masked": lambda place: bert(place, "BertForMaskedLM"),
    "embedding": embedder,
    "questions": lambda place: bert(place, "BertForQuestionAnswering"),
    "deberta": lambda place: add_tokenizer(build_model("deberta", place)),
    "causal": lambda place: add_tokenizer(build_model("llama", place), marks=False),
}


@pytest.fixture
def many_texts(tmp_path):
    lines = [f"{'abcdefghij'[n % 10]} {'klm'[n % 3] * (n % 5 + 1)} {n}" for n in range(240)]
    path = tmp_path / "many.csv"
    path.write_text("\n".join(["text", *lines]) + "\n")
    return path


def planned(path, texts, **settings):
    plan = plan_distillation(path, Source(texts), seconds=60, library=Library(), steps=12)
    # Steps of few texts, so that there are several in a round; large ones, since the model is tiny.
    return replace(plan, **{"batch_tokens": 256, "learning_rate": 3e-3, **settings})


def models(path):
    """Return a student that was hurt between its embeddings and its head, and its teacher."""
    teacher, student = load(path).eval(), load(path).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if ".layer" in name and parameter.dim() == 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise * parameter.std())
    return student, teacher


@pytest.fixture
def classifier(tmp_path):
    return KINDS["classes"](tmp_path / "model")


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_to_texts_kept_apart_come_closer(kind, tmp_path, many_texts):
    path = KINDS[kind](tmp_path / "model")
    plan = planned(path, many_texts)
    assert plan.kind == {"questions": None, "deberta": "classes"}.get(kind, kind)
    student, teacher = models(path)
    result = distill(student, teacher, plan, pairs=[(0, 0)])
    assert 0 < result.loss_after < 0.9 * result.loss_before
    assert (result.steps, result.stopped) == (12, False)
    assert 0 < result.best_step <= 12
    assert result.texts == 220
    # What is returned is the student that was measured.
    again = distill(student, teacher, replace(plan, steps=1, learning_rate=1e-12))
    assert again.loss_before == pytest.approx(result.loss_after, rel=1e-3)


def test_equal_models_are_no_distance_apart(classifier, many_texts):
    teacher = load(classifier)
    result = distill(load(classifier), teacher, planned(classifier, many_texts, steps=1))
    assert result.loss_before == pytest.approx(0, abs=1e-3)


def test_the_same_seed_gives_the_same_bytes(classifier, many_texts):
    results = []
    for seed in (0, 0, 1):
        student, teacher = models(classifier)
        distill(student, teacher, planned(classifier, many_texts, seed=seed), pairs=[(0, 0)])
        results.append(weights_of(student))
        # What was drawn before changes nothing.
        torch.rand(3)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_vectors_of_pairs_come_closer_too(classifier, many_texts):
    ids = torch.arange(5, 25).view(2, 10)
    away = {}
    for pairs in ((), ((0, 0),)):
        student, teacher = models(classifier)
        # The head is right for the teacher's vectors alone.
        distill(student, teacher, planned(classifier, many_texts, steps=30), pairs=pairs)
        with torch.no_grad():
            ours, theirs = (model.bert(ids).last_hidden_state for model in (student, teacher))
        away[pairs] = float((ours - theirs).square().mean())
    assert away[(0, 0),] < 0.8 * away[()]


def test_several_batches_make_a_step(classifier, many_texts):
    first = []
    for accumulate in (1, 2):
        student, teacher = models(classifier)
        gradients = []
        student.classifier.bias.register_hook(gradients.append)
        result = distill(student, teacher, planned(classifier, many_texts, steps=2, accumulate=accumulate))
        assert (result.steps, len(gradients)) == (2, 2 * accumulate)
        first.append(gradients[0])
    # Their mean counts, not their sum.
    torch.testing.assert_close(first[1] * 2, first[0])


def test_what_is_not_trained_stays_and_all_is_as_it_was(tmp_path, many_texts):
    path = KINDS["deberta"](tmp_path / "model")
    student, teacher = models(path)
    student.classifier.weight.requires_grad_(requires_grad=False)
    student.train()
    table = student.get_input_embeddings().weight.clone()
    head = student.classifier.weight.clone()
    told = weights_of(teacher)
    config = copy.deepcopy(student.config.to_dict())
    distill(student, teacher, planned(path, many_texts), pairs=[(0, 0), (1, 1)])
    assert torch.equal(table, student.get_input_embeddings().weight)
    # It was frozen by its owner, who gets it back so; it was trained all the same.
    assert not torch.equal(head, student.classifier.weight)
    assert [name for name, each in student.named_parameters() if not each.requires_grad] == [
        "classifier.weight"
    ]
    assert all(each.grad is None for each in student.parameters())
    assert student.training
    assert not teacher.training
    assert same(weights_of(teacher), told)
    assert all(each.requires_grad for each in teacher.parameters())
    assert not any(isinstance(module, FoldedAttention) for module in teacher.modules())
    assert not any(module._forward_hooks for module in [*student.modules(), *teacher.modules()])
    assert student.config.to_dict() == config


def test_nothing_is_said_and_nothing_of_the_program_changes(
    classifier, many_texts, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    student, teacher = models(classifier)
    plan = planned(classifier, many_texts)
    transformers.utils.logging.set_verbosity_warning()
    before = drawn()
    verbosity, environment = transformers.utils.logging.get_verbosity(), dict(os.environ)
    files = sorted(tmp_path.rglob("*"))
    capfd.readouterr()
    distill(student, teacher, plan)
    assert capfd.readouterr() == ("", "")
    assert drawn() == before
    assert transformers.utils.logging.get_verbosity() == verbosity
    assert dict(os.environ) == environment
    assert sorted(tmp_path.rglob("*")) == files
    transformers.utils.logging.set_verbosity_error()


def drawn():
    """Return what the next random numbers depend on."""
    by_numpy = np.random.get_state()  # noqa: NPY002
    return random.getstate(), by_numpy[1].tolist(), torch.get_rng_state().tolist()


class Stopping:
    """Presses Ctrl-C at the report of a step."""

    def __init__(self, at):
        self.at = at
        self.calls = []

    def __call__(self, what, done, total):
        self.calls.append((what, done, total))
        if done == self.at:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_best_so_far(classifier, many_texts):
    student, teacher = models(classifier)
    student.train()
    stopping = Stopping(7)
    result = distill(student, teacher, planned(classifier, many_texts), stopping)
    assert result.stopped
    assert result.steps == 7
    assert result.loss_after < result.loss_before
    assert student.training
    assert all(each.requires_grad for each in student.parameters())
    assert [done for _, done, _ in stopping.calls] == list(range(8))
    assert {total for _, _, total in stopping.calls} == {12}
    assert stopping.calls[-1][0].startswith("distilling (loss ")


def test_ctrl_c_at_once_leaves_the_student(classifier, many_texts, monkeypatch):
    monkeypatch.setattr("prensa.distilling.trainer._LOOK", 1.0)
    student, teacher = models(classifier)
    before = weights_of(student)
    result = distill(student, teacher, planned(classifier, many_texts), Stopping(2))
    assert (result.stopped, result.best_step) == (True, 0)
    assert result.loss_after == result.loss_before
    assert same(weights_of(student), before)


def test_steps_that_only_hurt_are_taken_back(classifier, many_texts):
    student, teacher = models(classifier)
    before = weights_of(student)
    result = distill(student, teacher, planned(classifier, many_texts, learning_rate=1e4))
    assert result.best_step == 0
    assert result.loss_after == result.loss_before
    assert same(weights_of(student), before)


def test_a_time_limit_ends_it(classifier, many_texts, monkeypatch):
    seconds = iter(range(10**6))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(seconds)))
    student, teacher = models(classifier)
    result = distill(student, teacher, planned(classifier, many_texts, steps=None, seconds=20))
    assert result.steps > 3
    # One call of the clock is a second here: the last look, which takes one, is within the limit.
    assert 18 <= result.seconds <= 22
    assert result.loss_after < result.loss_before


def test_the_learning_rate_rises_and_falls_with_the_share():
    factors = [pace.Pace(1.0, 100, step=step).factor() for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[3] == pytest.approx(1)
    assert factors[:4] == sorted(factors[:4])
    assert factors[3:] == sorted(factors[3:], reverse=True)
    assert factors[100] == 0


@pytest.fixture
def saving(monkeypatch):
    """Write a checkpoint after every step."""
    monkeypatch.setattr("prensa.distilling.trainer._SAVE", 0.0)


@pytest.mark.parametrize("step", [6, 7, 8])
def test_an_interrupted_one_goes_on_where_it_was(classifier, many_texts, tmp_path, saving, step):
    # Not all of these are steps at which the texts kept apart are looked at.
    plan = planned(classifier, many_texts)
    student, teacher = models(classifier)
    whole = distill(student, teacher, plan, pairs=[(0, 0)])
    wanted = weights_of(student)

    place = tmp_path / "place"
    student, teacher = models(classifier)
    distill(student, teacher, plan, Stopping(step), pairs=[(0, 0)], place=place)
    student, teacher = models(classifier)
    stopping = Stopping(None)
    resumed = distill(student, teacher, plan, stopping, pairs=[(0, 0)], place=place)
    # The step was reported before it was saved.
    assert stopping.calls[0] == ("distilling", step - 1, 12)
    assert same(weights_of(student), wanted)
    assert replace(resumed, seconds=0.0) == replace(whole, seconds=0.0)

    # Once it is over, there is nothing left to do.
    student, teacher = models(classifier)
    stopping = Stopping(None)
    again = distill(student, teacher, plan, stopping, pairs=[(0, 0)], place=place)
    assert replace(again, seconds=0.0) == replace(resumed, seconds=0.0)
    assert len(stopping.calls) == 1
    assert same(weights_of(student), wanted)


def test_a_checkpoint_of_another_one_is_refused(classifier, many_texts, tmp_path, saving):
    plan = planned(classifier, many_texts, steps=2)
    student, teacher = models(classifier)
    distill(student, teacher, plan, place=tmp_path / "place")
    for change in ({"seed": 1}, {"learning_rate": 1e-5}, {"seconds": 61.0}):
        student, teacher = models(classifier)
        with pytest.raises(FormatError, match="of a distillation with another model"):
            distill(student, teacher, replace(plan, **change), place=tmp_path / "place")
    # Another student, by its weights alone.
    with pytest.raises(FormatError, match="remove it to distill anew"):
        distill(load(classifier), teacher, plan, place=tmp_path / "place")
    for record in (tmp_path / "place").rglob("distillation.json"):
        record.write_text("{}")
    student, _ = models(classifier)
    with pytest.raises(FormatError, match="a damaged checkpoint"):
        distill(student, teacher, plan, place=tmp_path / "place")


@pytest.mark.parametrize("lines", [[f"a {n}" for n in range(199)], ["a"] * 300])
def test_too_few_different_texts_are_refused(classifier, tmp_path, lines):
    (tmp_path / "few.csv").write_text("\n".join(["text", *lines]) + "\n")
    with pytest.raises(DataError, match="different texts are too few to learn from, expected 200 or more"):
        plan_distillation(classifier, Source(tmp_path / "few.csv"), seconds=60, library=Library())


def test_what_is_judged_by_is_not_learnt_from(classifier, many_texts, tmp_path):
    every = planned(classifier, many_texts)
    lines = many_texts.read_text().splitlines()
    # Also in another file, and beside others.
    (tmp_path / "judged.csv").write_text("\n".join([*lines[:31], "z z"]) + "\n")
    library = Library()
    judged = library.texts(Source(tmp_path / "judged.csv"), None)
    plan = plan_distillation(classifier, Source(many_texts), seconds=60, library=library, judged=judged)
    assert plan.encoded.rows == every.encoded.rows[30:]
    assert (plan.left_out, every.left_out) == (30, 0)
    (tmp_path / "judged.csv").write_text("\n".join(lines[:42]) + "\n")
    judged = Library().texts(Source(tmp_path / "judged.csv"), None)
    with pytest.raises(DataError, match=r"without the 41 texts that the budget is judged by: 199 different"):
        plan_distillation(classifier, Source(many_texts), seconds=60, library=library, judged=judged)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(classifier, many_texts, seconds):
    with pytest.raises(SettingError, match="`distill` must be a time above 0"):
        plan_distillation(classifier, Source(many_texts), seconds=seconds, library=Library())


@pytest.mark.parametrize(
    "change", [{"steps": 0}, {"accumulate": 0}, {"batch_tokens": 0}, {"learning_rate": 0}]
)
def test_settings_out_of_range_are_refused(classifier, many_texts, change):
    with pytest.raises(SettingError, match=next(iter(change))):
        replace(planned(classifier, many_texts), **change)


def test_a_missing_package_is_named_before_texts_are_read(classifier, monkeypatch):
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    with pytest.raises(MissingPackageError, match=r"distilling needs accelerate.*prensa\[distill\]"):
        plan_distillation(classifier, Source("nowhere.csv"), seconds=60, library=Library())


def test_models_that_do_not_fit_are_refused(classifier, many_texts):
    plan = planned(classifier, many_texts)
    student, teacher = models(classifier)
    with pytest.raises(ModelError, match="the teacher has 1 layers, found layer 1"):
        distill(student, teacher, plan, pairs=[(0, 1)])
    with pytest.raises(ModelError, match=r"is torch.bfloat16, and distilling needs float32"):
        distill(student.bfloat16(), teacher, plan)


def test_a_teacher_that_gives_no_number_is_refused(classifier, many_texts):
    student, teacher = models(classifier)
    with torch.no_grad():
        teacher.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="gives no number"):
        distill(student, teacher, planned(classifier, many_texts))


def test_longer_times_read_more_texts(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(distill_plan, "_FEWEST_READ", 200)
    (tmp_path / "texts.csv").write_text("\n".join(["text", *(f"a {n}" for n in range(600))]) + "\n")
    for seconds, count in ((1, 200), (4, 400), (1000, 600)):
        plan = plan_distillation(
            classifier, Source(tmp_path / "texts.csv"), seconds=seconds, library=Library()
        )
        assert len(plan.encoded.rows) == count


def test_answers_are_kept_in_a_share_of_what_a_container_has(monkeypatch):
    monkeypatch.setattr(teaching, "memory_limit", lambda: 8000)
    model = torch.nn.Linear(1, 1)
    model.device = torch.device("cpu")
    assert teaching.Teacher(model, None)._room == 1000


@pytest.mark.parametrize("kind", ["causal", "regression"])
def test_only_numbers_have_a_scale(kind, tmp_path, many_texts):
    path = KINDS[kind](tmp_path / "model")
    _, teacher = models(path)
    plan = planned(path, many_texts)
    _, apart = lessons_of(plan.encoded, plan.batch_tokens, plan.seed, plan.seconds, masked=False)
    taught = teaching.Teacher(teacher, teaching.Reader(plan.kind, TextVector(), ()))
    taught.look_at(apart)
    assert (taught.scale == 1.0) == (kind == "causal")
