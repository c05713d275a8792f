"""Search the noise that a budget allows, check the winner on texts not seen before, and put it in place.

Statistics are collected once; every trial is a real result, compressed, measured on disk, loaded and judged.
Trials are kept in a journal, so that an interrupted search goes on where it was.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.calibration.collect import collected
from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.companions import SEARCH_FILE
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.manifest import Manifest
from prensa.cluster.tasks import IN_TURN
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import KEPT
from prensa.evaluation.figures import Quality
from prensa.evaluation.halves import Halves, halve_texts
from prensa.evaluation.judge import Judge
from prensa.ops.statistics import Statistics
from prensa.passes.gptq import LEAST_NOISE, MOST_NOISE
from prensa.pressing import pipeline
from prensa.pressing.pipeline import Plan
from prensa.progress import Progress, silent
from prensa.search.bisect import bracket, last_allowed
from prensa.search.journal import Journal, fingerprint, journal_path
from prensa.search.noise import check_recipe
from prensa.search.outcome import Check, Outcome, of_data, warnings_of
from prensa.search.trial import Trial
from prensa.search.trying import ONE_BY_ONE, Given, Rounds, trials

# Rounds of evaluations, the last word included: one trial each, or several at a time.
_MOST = 14
# From a winner that texts not seen before refuse to the next. The last one is far: its interval is much
# narrower, and who gives up has nothing.
_STRIDES = (1.2, 2.0, 4.0)
_FOR_THE_CHECK = 1 + 2 * len(_STRIDES)
# Rounds where nothing is evaluated.
_OF_SIZE = 14
# What is mended may have so much more noise: healing took 40 % of the divergence back, and so much noise adds
# as much (`docs/LOG.md`).
_BOLDER = 1.6

OnTrial = Callable[[Trial, bool], None]
"""Called with each trial, and whether the budget allows it."""


Mend = Callable[[Plan, Path, Progress, Callable[[Path, Manifest], str]], tuple[Path, Manifest]]
"""Makes a winner better, in another directory, unless a function of that says what speaks against it."""


def ignore_trial(trial: Trial, held: bool) -> None:  # noqa: FBT001
    """Do nothing with a trial."""


@dataclass
class _Search:
    """A search under way. ``place`` is a hidden directory beside the output, where trials are written.

    ``pressed`` is the last result that the budget allowed: its noise, what is in it, and where it lies. It is
    the winner in the end, and then need not be compressed again.
    """

    plan: Plan
    statistics: Statistics
    budget: Budget
    judge: Judge | None
    halves: Halves
    journal: Journal
    place: Path
    on_trial: OnTrial
    progress: Progress
    mend: Mend | None = None
    rounds: Rounds = ONE_BY_ONE
    pressed: tuple[float, Manifest, Path] | None = None

    def attempt(self, noise: float) -> Trial:
        """Make a trial, or take it from the journal."""
        (trial,) = self.attempts([noise])
        return trial

    def attempts(self, noises: Sequence[float]) -> list[Trial]:
        """Make trials, or take them from the journal."""
        missing = [noise for noise in noises if noise not in self.journal.trials]
        made = self._made(missing)
        for noise in noises:
            if noise in missing:
                self.journal.add(next(made))
            trial = self.journal.trials[noise]
            self.on_trial(trial, self.allows(trial))
        return [self.journal.trials[noise] for noise in noises]

    def _made(self, noises: Sequence[float]) -> Iterator[Trial]:
        # A single one is made here, where what it wrote is kept.
        if self.rounds.tasks is not IN_TURN and len(noises) > 1:
            given = Given(self.plan, self.statistics, self.judge, self.halves.search)
            yield from trials(self.rounds.tasks, given, noises, self.progress)
            return
        for noise in noises:
            trial, _ = self.judged(noise, self.halves.search, Draws(0))
            yield trial

    def allows(self, trial: Trial) -> bool:
        """Whether a trial keeps the budget's part on quality, or on bytes where that is all there is."""
        if self.budget.is_of_quality:
            return self.budget.allows(trial.drop, trial.agreement, trial.recalls)
        return self.allows_size(trial)

    def allows_size(self, trial: Trial) -> bool:
        """Whether a trial is small enough."""
        return self.budget.allows_size(trial.nbytes, self.plan.before.nbytes)

    def judged(self, noise: float, texts: list[int], draws: Draws) -> tuple[Trial, Quality | None]:
        """Compress with a noise, unless that was done last, and judge what comes out on some texts."""
        manifest, output = self.compressed(noise)
        if self.judge is None:
            trial, quality = Trial(noise, manifest.nbytes), None
        else:
            quality = self.judge.quality(output, texts, draws=draws, progress=self.progress)
            trial = Trial.of(noise, manifest.nbytes, quality)
        if self.allows(trial):
            self._keep(noise, manifest, output)
        elif self.pressed is None or self.pressed[2] != output:
            shutil.rmtree(output)
        return trial, quality

    def compressed(self, noise: float) -> tuple[Manifest, Path]:
        """Return the result with a noise, and where it lies."""
        if self.pressed is not None and self.pressed[0] == noise:
            _, manifest, output = self.pressed
            return manifest, output
        output = self.place / f"noise-{noise!r}"
        # One that was pressed and never judged: the search was interrupted in between.
        shutil.rmtree(output, ignore_errors=True)
        trial = self.plan.with_recipe(self.plan.recipe.with_noise(noise), output)
        manifest = pipeline.run(trial, self.progress, self.statistics)
        return manifest, output

    def _keep(self, noise: float, manifest: Manifest, output: Path) -> None:
        """Keep a result that may be the winner, in place of the one before: one takes disk enough."""
        if self.pressed is not None and self.pressed[2] != output:
            shutil.rmtree(self.pressed[2])
        self.pressed = (noise, manifest, output)

    def check(self, noise: float) -> Check:
        """Judge a noise on texts that the search has not seen."""
        trial, quality = self.judged(noise, self.halves.check, Draws())
        assert quality is not None  # noqa: S101  only a budget of quality is checked
        decision = self.budget.decide(quality)
        needed = None
        if decision == "undecided":
            needed = self.budget.texts_needed(quality, len(self.halves.check))
        return Check(trial, quality, decision, needed)


def search(
    plan: Plan,
    calibration: CalibrationPlan,
    budget: Budget,
    judge: Judge | None,
    *,
    on_trial: OnTrial = ignore_trial,
    progress: Progress = silent,
    mend: Mend | None = None,
    rounds: Rounds = ONE_BY_ONE,
) -> tuple[Outcome, Manifest | None]:
    """Find the smallest result within the budget and write it to the plan's output.

    ``judge`` may be None where the budget is of bytes alone. ``mend`` makes the winner better, if it can,
    before it is written; it stays within the budget. ``rounds`` may have several trials made at a time; the
    winner is confirmed here. Returns how it ended, and what was written: None
    where no trial keeps the budget. An interruption (``KeyboardInterrupt``) after a trial that keeps it
    writes the best one so far, unchecked. Raises :class:`RecipeError` where the recipe has no noise to
    search, and :class:`~prensa.errors.FormatError` for a journal of another search.
    """
    start = check_recipe(plan.recipe)
    halves = Halves([], [])
    judged_on: list[object] = []
    if judge is not None:
        halves = halve_texts(judge.plan.texts)
        judged_on = [judge.plan.encoded.rows, judge.plan.texts.labels, judge.plan.terms]
        if judge.plan.texts.queries is not None:
            judged_on.append(judge.plan.texts.queries)
    journal = Journal(journal_path(plan.output), fingerprint(plan, calibration, judged_on))
    own_quality = None
    if judge is not None:
        # An original that is no measure is refused before anything is compressed.
        own_quality = judge.own_quality(halves.check, progress)
        if own_quality is not None:
            budget.check_reachable(own_quality, judge.plan.path)
    with (
        collected(calibration, plan.output, progress, rounds.tasks) as statistics,
        hidden_beside(plan.output) as place,
    ):
        run = _Search(
            plan, statistics, budget, judge, halves, journal, place, on_trial, progress, mend, rounds
        )
        # Of rankings the interval of 0 changes is wider than that of a few small ones: no reason to give up.
        is_measure = own_quality is not None and not own_quality.queries
        if own_quality is not None and is_measure and budget.decide(own_quality) == "undecided":
            outcome = _undecided(run, start, own_quality)
            journal.remove()
            return outcome, None
        return _searched(run, start)


def _searched(run: _Search, start: float) -> tuple[Outcome, Manifest | None]:
    most = _OF_SIZE
    if run.judge is not None:
        most = _MOST - _FOR_THE_CHECK
    check = None
    try:
        winner = last_allowed(
            run.attempts,
            run.allows,
            start=start,
            most=most,
            upwards=run.budget.is_of_quality,
            at_once=run.rounds.at_once,
        )
        if winner is not None and run.judge is not None:
            winner, check = _check(run, winner)
    except KeyboardInterrupt:
        return _interrupted(run)
    held = winner is not None and run.allows_size(winner)
    outcome = _outcome(run, winner if held else None, best=winner or _nearest(run), held=held)
    if check is not None:
        outcome = outcome.checked(check)
    return _finish(run, outcome)


def _outcome(run: _Search, winner: Trial | None, *, best: Trial, held: bool) -> Outcome:
    return Outcome(
        budget=run.budget,
        nbytes_before=run.plan.before.nbytes,
        trials=tuple(run.journal.trials.values()),
        winner=winner,
        check=None,
        drop=None,
        held=held,
        best=best,
    )


def _interrupted(run: _Search) -> tuple[Outcome, Manifest | None]:
    """Write the smallest trial so far that keeps the budget. Goes on with the interruption if none does."""

    def is_kept(trial: Trial) -> bool:
        return run.allows(trial) and trial.noise not in run.journal.refused

    trials = run.journal.trials.values()
    # As the search itself: what lies beyond a noise that fails is luck.
    smallest, _ = bracket(trials, is_kept, upwards=run.budget.is_of_quality)
    # An original in the place of the output is needed to go on.
    if smallest is None or not run.allows_size(smallest) or run.plan.output == run.plan.before.path:
        raise KeyboardInterrupt
    outcome = _outcome(run, smallest, best=smallest, held=False)
    return _finish(run, dataclasses.replace(outcome, interrupted=True))


def _undecided(run: _Search, noise: float, own_quality: Quality) -> Outcome:
    """Make one trial, to show what there is, and give up.

    ``own_quality`` is the original as its own result: where even that is not decided on, no result can be.
    """
    nearest = run.attempt(noise)
    needed = run.budget.texts_needed(own_quality, len(run.halves.check))
    return dataclasses.replace(
        _outcome(run, None, best=nearest, held=False),
        decision="undecided",
        texts_needed=of_data(needed),
        warnings=tuple(warnings_of(own_quality, run.budget)),
    )


def _check(run: _Search, winner: Trial) -> tuple[Trial | None, Check]:
    """Judge the winner on new texts; where it fails there, take smaller noises, in growing strides.

    A smaller noise changes fewer answers, so that its interval is narrower: it may be decided, too.
    """
    check = run.check(winner.noise)
    for stride in _STRIDES:
        if check.decision in KEPT and run.allows(winner):
            return winner, check
        run.journal.refuse(winner.noise)
        winner = run.attempt(max(winner.noise / stride, LEAST_NOISE))
        check = run.check(winner.noise)
    if check.decision in KEPT and run.allows(winner):
        return winner, check
    return None, check


def _finish(run: _Search, outcome: Outcome) -> tuple[Outcome, Manifest | None]:
    """Put the winner in place; the journal has done its work unless the search was stopped."""
    manifest = None
    if outcome.winner is not None:
        # A trial from the journal of an earlier run was compressed there, not here.
        _, output = run.compressed(outcome.winner.noise)
        if run.mend is not None and not outcome.interrupted:
            outcome, output = _made_better(run, run.mend, outcome, output)
        manifest = pipeline.publish(output, run.plan, {SEARCH_FILE: outcome.to_json()})
    if not outcome.interrupted:
        run.journal.remove()
    return outcome, manifest


def _made_better(run: _Search, mend: Mend, outcome: Outcome, output: Path) -> tuple[Outcome, Path]:
    """Mend a result with more noise than the winner in ``output`` has; where that does not do, the winner.

    Returns how the search ended with what was mended, and where it lies.
    """
    winner = outcome.winner
    assert winner is not None  # noqa: S101  only a winner is mended
    if run.judge is not None and winner.noise < MOST_NOISE:
        noise = min(winner.noise * _BOLDER, MOST_NOISE)
        _, bolder = run.compressed(noise)
        after, directory, manifest = _mended(run, mend, outcome, noise, bolder)
        if directory != bolder:
            return after, directory
        shutil.rmtree(bolder)
        # Whoever stopped it does not wait for another.
        if manifest.heal is not None and manifest.heal.stopped:
            return outcome, output
    after, directory, _ = _mended(run, mend, outcome, winner.noise, output)
    return after, directory


def _mended(
    run: _Search, mend: Mend, outcome: Outcome, noise: float, output: Path
) -> tuple[Outcome, Path, Manifest]:
    """Mend what was compressed with a noise into ``output``.

    Returns how the search ended with it, where it lies, and its manifest; where something speaks against it,
    as it was before.
    """
    winner = outcome.winner
    assert winner is not None  # noqa: S101  only a winner is mended
    after = outcome

    def objection(directory: Path, manifest: Manifest) -> str:
        nonlocal after
        nbytes = manifest.nbytes
        if not run.budget.allows_size(nbytes, run.plan.before.nbytes):
            return "the healed one is larger than the budget allows"
        mended = dataclasses.replace(winner, nbytes=nbytes)
        if run.judge is not None:
            quality = run.judge.quality(directory, run.halves.check, draws=Draws(), progress=run.progress)
            check = Check(Trial.of(noise, nbytes, quality), quality, run.budget.decide(quality), None)
            why = _against(check, outcome, winner)
            if why:
                return why
            mended = check.trial
            after = outcome.checked(check)
        after = dataclasses.replace(after, winner=mended, best=mended)
        return ""

    # The recipe of what lies there.
    plan = dataclasses.replace(run.plan, recipe=run.plan.recipe.with_noise(noise))
    directory, manifest = mend(plan, output, run.progress, objection)
    if directory == output:
        after = outcome
    return after, directory, manifest


def _against(check: Check, outcome: Outcome, winner: Trial) -> str:
    """Say what speaks against a healed result that was judged on texts that the search had not seen."""
    if check.decision not in KEPT:
        return "the healed one does not keep the budget"
    if check.trial.noise > winner.noise:
        if check.trial.nbytes >= winner.nbytes:
            return "the healed one is not smaller"
    elif _is_worse(check.trial, outcome.check):
        return "the healed one was worse on texts that the search had not seen"
    return ""


def _is_worse(trial: Trial, before: Trial | None) -> bool:
    """Whether fewer answers stay the same, or, where none are compared, the score drops by more."""
    if before is None:
        return False
    if trial.agreement is not None and before.agreement is not None:
        return trial.agreement < before.agreement
    if trial.drop is not None and before.drop is not None:
        return trial.drop > before.drop
    return False


def _nearest(run: _Search) -> Trial:
    """Return the trial that came nearest to a budget that none kept: the best of them, or the smallest."""
    trials = list(run.journal.trials.values())
    if run.budget.is_of_quality:
        return min(trials, key=lambda trial: trial.noise)
    return min(trials, key=lambda trial: trial.nbytes)
