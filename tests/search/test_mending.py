"""Winners that are made better before they are put in place."""

import shutil
from dataclasses import replace

import pytest
from tests.conftest import leftovers

from prensa.calibration.plan import plan_calibration
from prensa.checkpoint.manifest import HealReport, load_manifest
from prensa.evaluation.budget import Budget
from prensa.evaluation.judge import Judge, plan_judge
from prensa.passes.gptq import MOST_NOISE
from prensa.pressing import pipeline
from prensa.pressing.recipe import load_preset
from prensa.search.search import search
from prensa.texts.library import Library
from prensa.texts.source import Source

REPORT = HealReport(
    source="texts",
    texts=200,
    numbers=1,
    steps=1,
    seconds=1.0,
    loss_before=2.0,
    loss_after=1.0,
    best_step=1,
    nbytes_before=1,
    stopped=False,
    broken=False,
    kept=True,
    why="",
)


class Mender:
    """Changes nothing, and says that it did, unless it has no success; remembers what it was given."""

    def __init__(self, *, successes=(True, True), stopped=False):
        self.successes = list(successes)
        self.noises = []
        self.objections = []
        self.report = replace(REPORT, stopped=stopped)

    def __call__(self, plan, pressed, progress, objection):
        self.noises.append(plan.recipe.noise)
        manifest = replace(load_manifest(pressed), heal=self.report)
        if not self.successes.pop(0):
            return pressed, manifest
        mended = pressed.with_name("mended")
        shutil.copytree(pressed, mended)
        why = objection(mended, manifest)
        self.objections.append(why)
        if why:
            shutil.rmtree(mended)
            return pressed, manifest
        return mended, manifest


@pytest.fixture
def found(original, tmp_path, texts, few_resamples):
    """Search with a mender; return how it ended, and what the output's manifest says."""

    def search_with(mender, budget=Budget(min_agreement=0.9)):
        library = Library()
        plan = pipeline.plan(original, load_preset("small"), tmp_path / "out", force=True)
        calibration = plan_calibration(original, Source(texts, limit=20), library=library)
        judge = None
        if budget.is_of_quality:
            judge = Judge(plan_judge(original, Source(texts), library=library, device="cpu"))
        outcome, manifest = search(plan, calibration, budget, judge, mend=mender)
        assert not leftovers(tmp_path)
        return outcome, manifest

    return search_with


def test_more_noise_than_the_search_found_is_mended_first(found, monkeypatch):
    # What a mender that changes nothing does not.
    monkeypatch.setattr(Budget, "decide", lambda *_: "held")
    mender = Mender()
    outcome, manifest = found(mender)
    searched = max(trial.noise for trial in outcome.trials if trial.agreement >= 0.9)
    assert mender.noises == [pytest.approx(min(1.6 * searched, MOST_NOISE))]
    assert outcome.winner.noise == mender.noises[0]
    assert (
        outcome.winner.nbytes
        == manifest.nbytes
        < min(t.nbytes for t in outcome.trials if t.noise <= searched)
    )
    # What is said of it is what was measured of it.
    assert outcome.winner == outcome.check == outcome.best


def test_where_more_noise_does_not_do_the_winner_is_mended(found):
    mender = Mender(successes=(False, True))
    outcome, manifest = found(mender)
    assert len(mender.noises) == 2
    assert outcome.winner.noise == mender.noises[1] < mender.noises[0]
    assert outcome.winner.nbytes == manifest.nbytes


def test_what_does_not_keep_the_budget_is_not_kept(found, monkeypatch):
    monkeypatch.setattr(Budget, "decide", lambda *_: "exceeded")
    monkeypatch.setattr("prensa.search.search._check", lambda run, winner: (winner, run.check(winner.noise)))
    mender = Mender()
    outcome, _ = found(mender)
    assert mender.objections == ["the healed one does not keep the budget"] * 2
    assert outcome.winner.noise == mender.noises[1]


def test_whoever_stops_the_first_does_not_wait_for_a_second(found):
    mender = Mender(successes=(False,), stopped=True)
    outcome, _ = found(mender)
    assert len(mender.noises) == 1
    assert outcome.winner.noise < mender.noises[0]


def test_a_budget_of_bytes_alone_has_its_winner_mended(found, original):
    before = (original / "model.safetensors").stat().st_size
    mender = Mender()
    outcome, _ = found(mender, Budget(max_size=before // 5))
    assert mender.noises == [outcome.winner.noise]
