"""Search the noise that a budget allows, check the winner on texts not seen before, and press it.

Statistics are collected once; every trial is a real result, pressed, measured on disk, loaded and judged.
Trials are kept in a journal, so that an interrupted search goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from prensa import pipeline
from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.statistics import Statistics
from prensa.checkpoint.companions import SEARCH_FILE
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.manifest import Manifest
from prensa.errors import RecipeError
from prensa.evaluation.results import Drop
from prensa.passes import Gptq
from prensa.passes.gptq import LEAST_NOISE
from prensa.pipeline import Plan
from prensa.progress import Progress, silent
from prensa.recipe import Recipe, adjusted
from prensa.search.bisect import last_allowed
from prensa.search.budget import NO_NOISE, Budget, Trial
from prensa.search.journal import Journal, fingerprint, journal_path
from prensa.search.referee import Part, Referee, agreement

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

    def to_json(self) -> str:
        """Write out everything but the manifest."""
        content = dataclasses.asdict(dataclasses.replace(self, manifest=None))
        del content["manifest"]
        return json.dumps(content, indent=1) + "\n"


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

    def judged(self, noise: float, part: Part) -> tuple[Trial, Drop | None]:
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
        drop = quality.drop
        found = Trial(
            noise, nbytes, drop.value if drop else None, agreement(quality), drop.of if drop else ""
        )
        return found, drop


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
    statistics = collect(calibration, progress)
    run = _Search(plan, statistics, budget, referee, journal, tell, progress)
    most = _OF_SIZE if referee is None else _MOST - _FOR_THE_CHECK
    try:
        upwards = budget.is_of_quality
        winner = last_allowed(run.attempt, budget.allows, start=start, most=most, upwards=upwards)
        check, drop = None, None
        if winner is not None and referee is not None and budget.is_of_quality:
            winner, check, drop = _check(run, winner)
    except KeyboardInterrupt:
        trials = journal.trials.values()
        kept = [each for each in trials if budget.allows(each) and budget.allows_size(each)]
        kept = [each for each in kept if each.noise not in run.refused]
        if not kept or plan.output == plan.checkpoint.path:  # the original is needed to go on
            raise
        best = min(kept, key=lambda trial: trial.nbytes)
        return _finish(
            run, Found(budget, _trials(journal), best, None, None, held=False, best=best, interrupted=True)
        )
    best = winner or _nearest(journal, budget)
    held = winner is not None and budget.allows_size(winner)
    found = Found(budget, _trials(journal), winner if held else None, check, drop, held=held, best=best)
    return _finish(run, found)


def _check(run: _Search, winner: Trial) -> tuple[Trial | None, Trial | None, Drop | None]:
    """Judge the winner on new texts; where it fails there, take smaller noises, in growing strides."""
    check, drop = run.judged(winner.noise, "check")
    for stride in _STRIDES:
        if run.budget.allows(check) and run.budget.allows(winner):
            return winner, check, drop
        run.refused.add(winner.noise)
        winner = run.attempt(max(winner.noise / stride, LEAST_NOISE))
        check, drop = run.judged(winner.noise, "check")
    held = run.budget.allows(check) and run.budget.allows(winner)
    return (winner if held else None), check, drop


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
