"""Search the noise that a budget allows, check the winner on texts not seen before, and press it.

Statistics are collected once; every trial is a real result, pressed, measured on disk, loaded and judged.
Trials are kept in a journal, so that an interrupted search goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.companions import SEARCH_FILE
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.manifest import Manifest
from prensa.errors import RecipeError
from prensa.evaluation.decision import KEPT, Decision
from prensa.evaluation.results import Drop, Quality
from prensa.evaluation.verdict import few_same, guessing_in_words
from prensa.ops.statistics import Statistics
from prensa.passes import Gptq
from prensa.passes.gptq import LEAST_NOISE
from prensa.pressing import pipeline
from prensa.pressing.pipeline import Plan
from prensa.pressing.recipe import Recipe, adjusted
from prensa.progress import Progress, silent
from prensa.search.bisect import last_allowed
from prensa.search.budget import NO_NOISE, Budget, Trial
from prensa.search.journal import Journal, fingerprint, journal_path
from prensa.search.referee import Part, Referee

_MOST = 12  # evaluations, the last word included
_STRIDES = (1.2, 2.0)  # from a winner that texts not seen before refuse to the next
_FOR_THE_CHECK = 1 + 2 * len(_STRIDES)
_OF_SIZE = 14  # pressings, where nothing is evaluated

Tell = Callable[[Trial, bool], None]
"""Called with each trial, and whether the budget allows it."""


@dataclass(frozen=True)
class Found:
    """How a search ended.

    ``winner`` is the trial that was pressed into the output, None where no trial kept the budget. ``check``
    is the winner judged on texts that the search has not seen, ``drop`` with its interval if there is one.
    The budget is ``held`` only if that says so, too. ``best`` is the nearest that was reached, whatever it
    is.

    ``decision`` says how the check ended (see :data:`prensa.evaluation.decision.Decision`), None without one.
    ``texts_needed`` are the texts to judge by that would decide the budget, None where it was decided.
    ``warnings`` say what the check proves less than it seems to.
    """

    budget: Budget
    trials: tuple[Trial, ...]
    winner: Trial | None
    check: Trial | None
    drop: Drop | None
    held: bool
    best: Trial
    interrupted: bool = False
    manifest: Manifest | None = None
    decision: Decision | None = None
    texts_needed: int | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Write out everything but the manifest."""
        content = dataclasses.asdict(dataclasses.replace(self, manifest=None))
        del content["manifest"]
        return json.dumps(content, indent=1) + "\n"


@dataclass(frozen=True)
class _Check:
    """A trial judged on texts that the search has not seen."""

    trial: Trial
    quality: Quality
    decision: Decision
    texts_needed: int | None


@dataclass
class _Search:
    plan: Plan
    statistics: Statistics
    budget: Budget
    referee: Referee | None
    journal: Journal
    tell: Tell
    progress: Progress
    refused: set[float] = field(default_factory=set)

    def attempt(self, noise: float) -> Trial:
        """Make a trial, or take it from the journal."""
        if noise not in self.journal.trials:
            self.journal.add(self.judged(noise, "search")[0])
        trial = self.journal.trials[noise]
        self.tell(trial, self.budget.allows(trial))
        return trial

    def judged(self, noise: float, part: Part) -> tuple[Trial, Quality | None]:
        """Press with a noise into a directory that goes away, and judge what comes out."""
        with hidden_beside(self.plan.output) as place:
            output = place / "trial"
            trial = pipeline.plan(
                self.plan.checkpoint.path,
                adjusted(self.plan.recipe, noise=noise),
                output,
                vocabulary=self.plan.vocabulary,
            )
            nbytes = pipeline.run(trial, self.progress, self.statistics).nbytes
            if self.referee is None:
                return Trial(noise, nbytes), None
            quality = self.referee.judge(output, part, self.progress)
        return Trial.of(noise, nbytes, quality), quality

    def check(self, noise: float) -> _Check:
        """Judge a noise on texts that the search has not seen."""
        trial, quality = self.judged(noise, "check")
        assert quality is not None  # noqa: S101  only a budget of quality is checked
        assert self.referee is not None  # noqa: S101
        decision = self.budget.decide(quality.drop, quality.agreement)
        needed = self.budget.texts_needed(quality, len(self.referee.parts["check"]))
        return _Check(trial, quality, decision, needed if decision == "undecided" else None)


def search(  # noqa: PLR0913  what a search is made of
    plan: Plan,
    calibration: CalibrationPlan,
    budget: Budget,
    referee: Referee | None,
    *,
    tell: Tell = lambda trial, held: None,
    progress: Progress = silent,
) -> Found:
    """Find the smallest result within the budget and write it to the plan's output.

    ``referee`` may be None where the budget is of bytes alone. Where no trial keeps the budget nothing is
    written. An interruption (``KeyboardInterrupt``) after a trial that keeps it writes the best one so far,
    unchecked. Raises :class:`RecipeError` where the recipe has no noise to search, and
    :class:`~prensa.errors.FormatError` for a journal of another search.
    """
    start = check_recipe(plan.recipe)
    judged_on = [] if referee is None else [referee.plan.encoded.rows, referee.plan.texts.labels]
    journal = Journal(journal_path(plan.output), fingerprint(plan, calibration, judged_on))
    best = referee.judge_itself(progress) if referee is not None and budget.is_of_quality else None
    statistics = collect(calibration, progress)
    run = _Search(plan, statistics, budget, referee, journal, tell, progress)
    most = _OF_SIZE if referee is None else _MOST - _FOR_THE_CHECK
    if best is not None and budget.decide(best.drop, best.agreement) == "undecided":
        return _undecided(run, start, best)
    try:
        upwards = budget.is_of_quality
        winner = last_allowed(run.attempt, budget.allows, start=start, most=most, upwards=upwards)
        check = None
        if winner is not None and referee is not None and budget.is_of_quality:
            winner, check = _check(run, winner)
    except KeyboardInterrupt:
        trials = journal.trials.values()
        kept = [each for each in trials if budget.allows(each) and budget.allows_size(each)]
        kept = [each for each in kept if each.noise not in run.refused]
        if not kept or plan.output == plan.checkpoint.path:  # the original is needed to go on
            raise
        last = min(kept, key=lambda trial: trial.nbytes)
        return _finish(
            run, Found(budget, _trials(journal), last, None, None, held=False, best=last, interrupted=True)
        )
    nearest = winner or _nearest(journal, budget)
    held = winner is not None and budget.allows_size(winner)
    found = Found(budget, _trials(journal), winner if held else None, None, None, held=held, best=nearest)
    return _finish(run, found if check is None else _with_check(found, check))


def _undecided(run: _Search, noise: float, itself: Quality) -> Found:
    """Make one trial, to show what there is, and give up.

    ``itself`` is the original as its own result: where even that is not decided on, no result can be.
    """
    assert run.referee is not None  # noqa: S101
    nearest = run.attempt(noise)
    needed = run.budget.texts_needed(itself, len(run.referee.parts["check"]))
    found = Found(run.budget, _trials(run.journal), None, None, None, held=False, best=nearest)
    return _finish(
        run,
        dataclasses.replace(
            found,
            decision="undecided",
            texts_needed=_of_data(needed),
            warnings=tuple(warnings_of(itself, run.budget)),
        ),
    )


def _of_data(needed: int | None) -> int | None:
    """Return how many texts must be given for so many to check by: the other half is for the search."""
    return None if needed is None else 2 * needed


def _with_check(found: Found, check: _Check) -> Found:
    return dataclasses.replace(
        found,
        check=check.trial,
        drop=check.quality.drop,
        decision=check.decision,
        texts_needed=_of_data(check.texts_needed),
        warnings=tuple(warnings_of(check.quality, found.budget)),
    )


def warnings_of(quality: Quality, budget: Budget) -> list[str]:
    """Say what a comparison proves less than it seems to."""
    advice = "" if budget.min_agreement is not None else ": add --min-agreement"
    found = [f"{reason}{advice}" for reason in few_same(quality)]
    if quality.guessing is not None and not found:
        found.append(f"{guessing_in_words(quality.guessing)}{advice}")
    if quality.alike == "one-sided":
        found.append("the original gives all of these texts the same label, so that agreement proves little")
    return found


def _check(run: _Search, winner: Trial) -> tuple[Trial | None, _Check]:
    """Judge the winner on new texts; where it fails there, take smaller noises, in growing strides.

    A smaller noise changes fewer answers, so that its interval is narrower: it may be decided, too.
    """
    check = run.check(winner.noise)
    for stride in _STRIDES:
        if check.decision in KEPT and run.budget.allows(winner):
            return winner, check
        run.refused.add(winner.noise)
        winner = run.attempt(max(winner.noise / stride, LEAST_NOISE))
        check = run.check(winner.noise)
    held = check.decision in KEPT and run.budget.allows(winner)
    return (winner if held else None), check


def _finish(run: _Search, found: Found) -> Found:
    """Press the winner into the output; the journal has done its work unless the search was cut short."""
    if found.winner is not None:
        recipe = adjusted(run.plan.recipe, noise=found.winner.noise)
        final = pipeline.plan(
            run.plan.checkpoint.path,
            recipe,
            run.plan.output,
            force=run.plan.force,
            vocabulary=run.plan.vocabulary,
        )
        extra = {SEARCH_FILE: found.to_json()}
        found = dataclasses.replace(
            found, manifest=pipeline.run(final, run.progress, run.statistics, extra=extra)
        )
    if not found.interrupted:
        run.journal.remove()
    return found


def _nearest(journal: Journal, budget: Budget) -> Trial:
    """Return the trial that came nearest to a budget that none kept: the best of them, or the smallest."""
    trials = list(journal.trials.values())
    if budget.is_of_quality:
        return min(trials, key=lambda trial: trial.noise)
    return min(trials, key=lambda trial: trial.nbytes)


def _trials(journal: Journal) -> tuple[Trial, ...]:
    return tuple(journal.trials.values())


def check_recipe(recipe: Recipe) -> float:
    """Return the noise to begin with. Raises :class:`RecipeError` where none could be searched."""
    noises = [step.noise for step in recipe.passes if isinstance(step, Gptq)]
    if not noises:
        raise RecipeError(NO_NOISE)
    if recipe.format != "packed":
        raise RecipeError(
            f"format {recipe.format}: takes the same bytes whatever the noise; use the format packed"
        )
    return noises[-1]
