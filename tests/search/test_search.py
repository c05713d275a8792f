"""Searches on a tiny model, for real: pressed, loaded, judged."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from tests.conftest import add_tokenizer, build_model, change_weights, directory_bytes, leftovers

import prensa
from prensa.calibration.plan import plan_calibration
from prensa.cli.outcome import describe
from prensa.errors import DataError, FormatError, ModelError, RecipeError
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Drop, Figure, Recall
from prensa.evaluation.judge import Judge, plan_judge
from prensa.pressing import pipeline
from prensa.pressing.recipe import load_preset
from prensa.search.journal import Journal, fingerprint, journal_path
from prensa.search.search import SEARCH_FILE, search
from prensa.search.trial import Trial
from prensa.texts.library import Library
from prensa.texts.source import Source


@pytest.fixture
def searched(original, tmp_path, texts, few_resamples):
    """Search with a budget; ``trials`` are those that were reported, ``manifest`` is what was written."""

    class Searched:
        def __init__(self):
            self.trials = []
            self.output = tmp_path / "out"
            self.manifest = None

        def __call__(self, budget, tell=None, model=original, data=texts, mend=None):
            library = Library()
            plan = pipeline.plan(model, load_preset("small"), self.output, force=True)
            calibration = plan_calibration(model, Source(texts, limit=20), library=library)
            judge = None
            if budget.is_of_quality:
                judge = Judge(plan_judge(model, Source(data), library=library, device="cpu"))
            on_trial = tell or (lambda *reported: self.trials.append(reported))
            found, self.manifest = search(plan, calibration, budget, judge, on_trial=on_trial, mend=mend)
            return found

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
    found = searched(Budget(max_drop=0.2))
    recipe = prensa.load_recipe(searched.output / "recipe.toml")
    assert recipe.passes[-1].noise == found.winner.noise
    calibration = plan_calibration(original, Source(texts, limit=20), library=Library())
    from prensa.calibration.collect import collect

    plan = pipeline.plan(original, recipe, tmp_path / "again")
    pipeline.run(plan, statistics=collect(calibration))
    again, first = directory_bytes(tmp_path / "again"), directory_bytes(searched.output)
    assert again["model.safetensors"] == first["model.safetensors"]


def test_a_budget_of_bytes_needs_no_texts_to_judge_by(searched, original):
    before = (original / "model.safetensors").stat().st_size
    found = searched(Budget(max_size=before // 5))
    assert found.held
    assert found.check is None
    assert before / 6 < found.winner.nbytes <= before // 5


def test_a_budget_that_nothing_keeps(searched):
    found = searched(Budget(max_size=100))
    assert not found.held
    assert found.winner is None
    assert found.best.nbytes == min(trial.nbytes for trial in found.trials)
    assert not searched.output.exists()


def test_quality_and_bytes_together(searched):
    found = searched(Budget(min_agreement=0.9, max_size=100))
    assert not found.held
    assert not searched.output.exists()
    assert found.best.agreement >= 0.9


def test_a_winner_that_fails_on_new_texts_gives_way(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged
    checks = []

    def stricter(self, noise, texts, draws):
        trial, quality = judged(self, noise, texts, draws)
        if texts == self.halves.check:
            checks.append(noise)
            return agreeing(trial, quality, float(len(checks) > 1))
        return agreeing(trial, quality, float(noise <= 0.01))

    monkeypatch.setattr(module._Search, "judged", stricter)
    found = searched(Budget(min_agreement=0.9))
    assert found.held
    assert len(checks) == 2
    assert found.winner.noise == checks[1] < checks[0]


def test_a_budget_that_fails_on_new_texts_is_never_claimed(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged

    def refuse(self, noise, texts, draws):
        return agreeing(*judged(self, noise, texts, draws), float(texts == self.halves.search))

    monkeypatch.setattr(module._Search, "judged", refuse)
    found = searched(Budget(min_agreement=0.9))
    assert not found.held
    assert found.winner is None
    assert found.decision == "exceeded"
    assert found.texts_needed is None
    assert not searched.output.exists()


def test_too_few_texts_to_decide_end_a_search_at_once(searched):
    """Where not even a result with all of the original's answers could be decided on."""
    found = searched(Budget(max_drop=0.01))
    assert (found.held, found.winner, found.check, found.decision) == (False, None, None, "undecided")
    assert found.texts_needed == 740  # the exact interval of 0 changes of 370 is a point wide, on either side
    assert len(found.trials) == 1
    assert found.best.agreement_interval[0] < found.best.agreement <= found.best.agreement_interval[1]
    assert not searched.output.exists()
    assert not leftovers(searched.output.parent)
    said = describe(found, searched.output)
    assert said.startswith("Not decided: a drop of at most 1.00 points. ")
    assert "even if no answer changes; about 740 texts in --data would decide it." in said
    assert said.endswith("Nothing was written.")


def test_a_check_that_decides_nothing_goes_on_to_smaller_noises_and_claims_nothing(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged

    def wide(self, noise, texts, draws):
        trial, quality = agreeing(*judged(self, noise, texts, draws), 0.95)
        interval = (-0.9, 0.9) if texts == self.halves.check else None
        drop = Drop("accuracy", 0.0, interval)
        return dataclasses.replace(trial, drop=0.0), dataclasses.replace(quality, drop=drop)

    monkeypatch.setattr(module._Search, "judged", wide)
    found = searched(Budget(max_drop=0.2))
    assert (found.held, found.winner, found.decision) == (False, None, "undecided")
    assert found.texts_needed > 90
    assert found.check is not None
    assert not searched.output.exists()
    assert "even if" not in describe(found, searched.output)


def test_where_too_few_texts_decide_on_the_winner_a_far_smaller_noise_is_checked(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged
    checks = []

    def narrower_with_less_noise(self, noise, texts, draws):
        trial, quality = agreeing(*judged(self, noise, texts, draws), 0.95)
        interval = None
        if texts == self.halves.check:
            checks.append(noise)
            half = 0.9 if noise > checks[0] / 5 else 0.1
            interval = (-half, half)
        drop = Drop("accuracy", 0.0, interval)
        return dataclasses.replace(trial, drop=0.0), dataclasses.replace(quality, drop=drop)

    monkeypatch.setattr(module._Search, "judged", narrower_with_less_noise)
    found = searched(Budget(max_drop=0.2))
    assert (found.held, found.decision) == (True, "held")
    assert found.winner.noise == checks[-1] < checks[0] / 5


def test_few_of_the_same_answers_are_said_beside_a_score_that_stays(searched, monkeypatch):
    from prensa.search import search as module

    judged = module._Search.judged

    def others(self, noise, texts, draws):
        trial, quality = agreeing(*judged(self, noise, texts, draws), 0.58)
        quality = dataclasses.replace(quality, drop=Drop("accuracy", 0.0, (-0.01, 0.01)))
        return dataclasses.replace(trial, drop=0.0), quality

    monkeypatch.setattr(module._Search, "judged", others)
    found = searched(Budget(max_drop=0.2))
    assert found.held
    written = json.loads((searched.output / SEARCH_FILE).read_text())
    assert written["check"]["agreement"] == 0.58
    said = describe(found, searched.output)
    assert "the same answer on 58.00 % (95 % interval 50.00 to 66.00) of them. Kept: " in said
    assert "But only 58.00 % of the answers are the original's" in said
    assert "add --min-agreement" in said


@pytest.mark.parametrize("kind", ["constant", "broken"])
def test_an_original_that_is_no_measure_is_refused_before_anything_is_pressed(searched, tmp_path, kind):
    model = add_tokenizer(build_model("deberta", tmp_path / kind))
    spoiled = {"classifier.weight": 0.0} if kind == "constant" else {"classifier.bias": float("nan")}
    change_weights(model, lambda tensors: [tensors[name].fill_(value) for name, value in spoiled.items()])
    message = "gives the same answer to every text" if kind == "constant" else "gives no number"
    with pytest.raises(ModelError, match=message):
        searched(Budget(min_agreement=0.9), model=model)
    assert not searched.trials


def agreeing(trial, quality, share):
    """Change what a trial and a comparison say of the same answers."""
    interval = (max(0.0, share - 0.08), min(1.0, share + 0.08))
    same = Figure("same answer", share, is_share=True, interval=interval)
    trial = dataclasses.replace(trial, agreement=share, agreement_interval=interval)
    return trial, dataclasses.replace(quality, figures=(same,))


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
    # The winner may be one of the trials that the first search made: it is compressed once more, to be checked.
    again = [noise for noise in pressed if noise in known]
    assert len(again) <= 1
    assert len(pressed) == len(set(pressed))


def test_a_check_may_be_interrupted_twice(searched, monkeypatch):
    quality = Judge.quality
    halves = []

    def interrupted(judge, result, texts, **settings):
        halves.append(texts)
        if texts != halves[0]:
            raise KeyboardInterrupt
        return quality(judge, result, texts, **settings)

    monkeypatch.setattr(Judge, "quality", interrupted)
    for _ in range(2):
        assert searched(Budget(min_agreement=0.9)).interrupted
        assert prensa.load(searched.output) is not None


def test_what_a_check_has_refused_is_not_written_by_a_later_run(searched, monkeypatch):
    """Also where the noise was refused by one run, and the next one is interrupted."""
    decide, quality = Budget.decide, Judge.quality
    first_half, checks = [], []

    def judged(judge, result, texts, **settings):
        first_half.append(texts) if not first_half else None
        checks.append(texts != first_half[0])
        if sum(checks) == 2:
            raise KeyboardInterrupt
        return quality(judge, result, texts, **settings)

    monkeypatch.setattr(Judge, "quality", judged)
    # The first check refuses.
    monkeypatch.setattr(
        Budget, "decide", lambda own, found: "exceeded" if checks and checks[-1] else decide(own, found)
    )
    found = searched(Budget(min_agreement=0.9))
    assert found.interrupted
    content = json.loads(journal_path(searched.output).read_text())
    (refused,) = content["refused"]
    assert found.winner.noise < refused
    # And again, before its first check has ended.
    checks.clear()
    checks.append(True)
    again = searched(Budget(min_agreement=0.9))
    assert again.interrupted
    assert again.winner.noise < refused


def test_an_interruption_before_anything_is_kept_changes_nothing(searched):
    with pytest.raises(KeyboardInterrupt):
        searched(Budget(max_size=100), interrupt_after(1))
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


def test_a_fingerprint_has_all_of_the_labels(original, texts, tmp_path):
    plan = pipeline.plan(original, load_preset("small"), tmp_path / "out")
    calibration = plan_calibration(original, Source(texts, limit=20), library=Library())
    labels = np.zeros((2, 3000), dtype=int)
    changed = labels.copy()
    changed[0, 1500] = 1
    found = {fingerprint(plan, calibration, [list(each)]) for each in (labels, changed, labels.copy())}
    assert len(found) == 2


def test_a_recipe_without_noise(original, texts, tmp_path):
    plan = pipeline.plan(original, load_preset("int8"), tmp_path / "out")
    calibration = plan_calibration(original, Source(texts, limit=20), library=Library())
    with pytest.raises(RecipeError, match="use `preset=small`"):
        search(plan, calibration, Budget(max_size=10), None)


def test_too_few_texts_to_judge_by(searched, tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n" * 10)
    with pytest.raises(DataError, match="too few to keep a budget by"):
        searched(Budget(max_drop=0.01), data=tmp_path / "few.txt")


def test_language_models_are_judged_beside_their_original(tmp_path, texts, searched):
    model = add_tokenizer(build_model("gpt2", tmp_path / "causal"))
    (tmp_path / "lines.txt").write_text("".join(f"a b c {n} d\n" for n in range(60)))
    found = searched(Budget(max_drop=0.5), model=model, data=tmp_path / "lines.txt")
    assert found.held
    assert found.winner.drop_of == "bits per byte"


def test_a_journal_keeps_what_was_found_of_labels(tmp_path):
    found = (Recall("toxic", 0.9, (0.8, 1.0)), Recall("rare", None))
    trial = Trial(0.1, 5, 0.01, 0.9, "recall: toxic", None, found)
    Journal(tmp_path / "j.json", "a search").add(trial)
    assert Journal(tmp_path / "j.json", "a search").trials == {0.1: trial}
