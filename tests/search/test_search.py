"""Searches on a tiny model, for real: pressed, loaded, judged."""

import json

import pytest
import torch
from tests.conftest import add_tokenizer, build_model, directory_bytes, leftovers

import prensa
from prensa import pipeline
from prensa.calibration.plan import plan_calibration
from prensa.errors import EvaluationError, FormatError, RecipeError
from prensa.evaluation.evaluate import plan as plan_evaluation
from prensa.evaluation.results import Settings
from prensa.recipe import load_preset
from prensa.search.budget import Budget
from prensa.search.journal import journal_path
from prensa.search.referee import referee
from prensa.search.search import SEARCH_FILE, search


@pytest.fixture
def searched(original, tmp_path, texts, few_resamples):
    """Search with a budget; ``trials`` are those that were told."""

    class Searched:
        def __init__(self):
            self.trials = []
            self.output = tmp_path / "out"

        def __call__(self, budget, tell=None, model=original, data=texts):
            plan = pipeline.plan(model, load_preset("small"), self.output, force=True)
            calibration = plan_calibration(model, str(texts), count=20)
            judge = None
            if budget.is_of_quality:
                judge = referee(plan_evaluation(Settings(str(model), (), data=str(data), device="cpu")))
            return search(
                plan, calibration, budget, judge, tell=tell or (lambda *each: self.trials.append(each))
            )

    return Searched()


def test_a_budget_of_agreement_is_kept_and_checked(searched):
    found = searched(Budget(min_agreement=0.9))
    assert found.held
    assert found.winner.agreement >= 0.9
    assert found.check.agreement >= 0.9
    assert all(trial.noise <= found.winner.noise for trial, held in searched.trials if held)
    assert len(searched.trials) <= 12
    weights = searched.output / "model.safetensors"
    assert weights.stat().st_size == found.winner.nbytes
    assert not leftovers(searched.output.parent)
    written = json.loads((searched.output / SEARCH_FILE).read_text())
    assert written["held"]
    assert written["winner"]["nbytes"] == found.winner.nbytes


def test_the_winner_is_what_the_recipe_in_the_output_makes(searched, original, texts, tmp_path):
    found = searched(Budget(max_drop=0.05))
    recipe = prensa.load_recipe(searched.output / "recipe.toml")
    assert recipe.passes[-1].noise == found.winner.noise
    calibration = plan_calibration(original, str(texts), count=20)
    from prensa.calibration.collect import collect

    plan = pipeline.plan(original, recipe, tmp_path / "again")
    pipeline.run(plan, statistics=collect(calibration))
    again, first = directory_bytes(tmp_path / "again"), directory_bytes(searched.output)
    assert again["model.safetensors"] == first["model.safetensors"]


def test_a_budget_of_bytes_needs_no_texts_to_judge_by(searched, original):
    before = (original / "model.safetensors").stat().st_size
    found = searched(Budget(max_bytes=before // 5))
    assert found.held
    assert found.check is None
    assert before / 6 < found.winner.nbytes <= before // 5


def test_a_budget_that_nothing_keeps(searched):
    found = searched(Budget(max_bytes=100))
    assert not found.held
    assert found.winner is None
    assert found.best.nbytes == min(trial.nbytes for trial in found.trials)
    assert not searched.output.exists()


def test_quality_and_bytes_together(searched):
    found = searched(Budget(min_agreement=0.9, max_bytes=100))
    assert not found.held
    assert not searched.output.exists()
    assert found.best.agreement >= 0.9


def test_a_winner_that_fails_on_new_texts_gives_way(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged
    checks = []

    def stricter(self, noise, part):
        trial, drop = judged(self, noise, part)
        if part == "check":
            checks.append(noise)
            return module.dataclasses.replace(trial, agreement=0.0 if len(checks) == 1 else 1.0), drop
        return module.dataclasses.replace(trial, agreement=1.0 if noise <= 0.01 else 0.0), drop

    monkeypatch.setattr(module._Search, "judged", stricter)
    found = searched(Budget(min_agreement=0.9))
    assert found.held
    assert len(checks) == 2
    assert found.winner.noise == checks[1] < checks[0]


def test_a_budget_that_fails_on_new_texts_is_never_claimed(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged

    def refuse(self, noise, part):
        trial, drop = judged(self, noise, part)
        return module.dataclasses.replace(trial, agreement=float(part == "search")), drop

    monkeypatch.setattr(module._Search, "judged", refuse)
    found = searched(Budget(min_agreement=0.9))
    assert not found.held
    assert found.winner is None
    assert not searched.output.exists()


def interrupt_after(count):
    told = []

    def tell(trial, held):
        told.append(trial)
        if len(told) == count:
            raise KeyboardInterrupt

    return tell


def test_an_interrupted_search_leaves_the_best_so_far_and_goes_on(searched):
    found = searched(Budget(min_agreement=0.9), interrupt_after(3))
    assert found.interrupted
    assert not found.held
    assert prensa.load(searched.output) is not None
    journal = journal_path(searched.output)
    known = {each["noise"] for each in json.loads(journal.read_text())["trials"]}
    assert len(known) == 3
    pressed = []
    run = pipeline.run

    def counted(plan, *rest, **settings):
        pressed.append(plan.recipe.passes[-1].noise)
        return run(plan, *rest, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run", counted)
        found = searched(Budget(min_agreement=0.9))
    assert found.held
    assert not journal.exists()
    assert not known & set(pressed[:-2])  # but for the check and the last pressing, nothing is done again


def test_an_interruption_before_anything_is_kept_changes_nothing(searched):
    with pytest.raises(KeyboardInterrupt):
        searched(Budget(max_bytes=100), interrupt_after(1))
    assert not searched.output.exists()


def test_a_journal_of_another_search_is_refused(searched, tmp_path):
    searched(Budget(min_agreement=0.9), interrupt_after(3))
    torch.manual_seed(5)
    other = add_tokenizer(build_model("deberta", tmp_path / "other", torch.float16))
    with pytest.raises(FormatError, match="another model, recipe or other texts; remove it"):
        searched(Budget(min_agreement=0.9), model=other)
    journal_path(searched.output).write_text("{")
    with pytest.raises(FormatError, match="a damaged journal"):
        searched(Budget(min_agreement=0.9))


def test_a_recipe_without_noise(original, texts, tmp_path):
    plan = pipeline.plan(original, load_preset("int8"), tmp_path / "out")
    calibration = plan_calibration(original, str(texts), count=20)
    with pytest.raises(RecipeError, match="take the preset small"):
        search(plan, calibration, Budget(max_bytes=10), None)


def test_too_few_texts_to_judge_by(searched, tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n" * 10)
    with pytest.raises(EvaluationError, match="too few to keep a budget by"):
        searched(Budget(max_drop=0.01), data=tmp_path / "few.txt")


def test_language_models_are_judged_beside_their_original(tmp_path, texts, searched):
    model = add_tokenizer(build_model("gpt2", tmp_path / "causal"))
    (tmp_path / "lines.txt").write_text("".join(f"a b c {n} d\n" for n in range(60)))
    found = searched(Budget(max_drop=0.5), model=model, data=tmp_path / "lines.txt")
    assert found.held
    assert found.winner.drop_of == "bits per byte"
