"""A compression that shrinks first: a smaller model is made beside the output, and pressed as any other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.config import any_config
from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.manifest import Manifest, ShrinkReport
from prensa.distilling.plan import DistillPlan
from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import KEPT
from prensa.evaluation.figures import Quality
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.judge import Judge
from prensa.evaluation.verdict import drop_in_words
from prensa.files.kept import kept_if_stopped
from prensa.files.records import from_plain, to_plain
from prensa.jobs.healing import Healing, press
from prensa.pressing import pipeline
from prensa.progress import Progress, silent
from prensa.runtime.release import release_memory
from prensa.runtime.torch import load_on
from prensa.search.journal import digest_of
from prensa.search.outcome import Outcome
from prensa.search.search import OnTrial, ignore_trial, search
from prensa.search.speeds import SPEEDS, fastest_allowed
from prensa.serving.choices import question, recall_any, remember
from prensa.serving.stopwatch import Stopwatch
from prensa.shrink.begun import begin, begun, check_begun, lessons_path
from prensa.shrink.clock import Clock
from prensa.shrink.learn import learn
from prensa.shrink.plan import ShrinkPlan, rows_of
from prensa.shrink.run import Prepared, Shrunk, Unreached, prepare, shrunk, write_shrunk
from prensa.texts.encoding import Encoded
from prensa.vocabulary.plan import Vocabulary
from prensa.wording import number

# Texts that models are timed on: enough for their lengths to be the texts' own.
_TIMED = 64
# Of what a budget allows, what shrinking may take; the rest is for the passes behind it.
_SHARE = 0.7


@dataclass(frozen=True)
class RunsOn:
    """Where the result will run, which is where speed is measured."""

    runtime: str
    precision: str
    processor: str

    @property
    def where(self) -> str:
        """Say it in a few words."""
        return f"{self.runtime} {self.precision}, {self.processor}"


@dataclass(frozen=True)
class _Workshop:
    """Where smaller models are made, each written into ``place``.

    What those go on from that learn is kept in ``lessons``, under the fingerprint ``of``.
    """

    plan: ShrinkPlan
    prepared: Callable[[], Prepared]
    place: Path
    lessons: Path
    of: str
    progress: Progress

    def shrunk(self, faster: float) -> tuple[Path, ShrinkReport]:
        """Make one that is so many times as fast. Raises :class:`Unreached`."""
        name = f"faster-{faster:g}"
        if self.plan.distillation is None:
            small = shrunk(self.prepared(), faster, self.progress)
        else:
            small = self._taught(faster, self.lessons / name, self.plan.distillation)
        directory = self.place / name
        directory.mkdir()
        write_shrunk(small, self.plan.path, directory)
        report = small.report
        del small
        release_memory()
        return directory, report

    def _taught(self, faster: float, lessons: Path, plan: DistillPlan) -> Shrunk:
        """Have a smaller model learn, from where it was if it had begun."""
        pad_id = self.plan.fitted.fill["input_ids"]
        small = begun(lessons, pad_id)
        if small is None:
            small = shrunk(self.prepared(), faster, self.progress)
            begin(small, self.plan.path, lessons, self.of)
            original = self.prepared().original
        else:
            original = load_on(self.plan.path, torch.float32, "cpu", pad_id)
        return learn(small, original, self.plan, plan, self.progress, lessons)


@dataclass(frozen=True)
class Shrinking:
    """What a compression needs to shrink first, beside its plan for pressing (of the original)."""

    plan: ShrinkPlan
    runs_on: RunsOn
    pressing: pipeline.Plan
    vocabulary: Vocabulary | None
    calibration: CalibrationPlan | None
    judge: Judge | None
    budget: Budget
    healing: Healing | None = None

    def run(self, progress: Progress = silent, on_trial: OnTrial = ignore_trial) -> Ended:
        """Shrink and press. ``on_trial`` hears of the trials of a search for the noise.

        A distillation that was stopped goes on. Raises :class:`~prensa.errors.FormatError` for one of
        another model, other texts or another recipe.
        """
        with ExitStack() as stack:
            of, lessons = "", lessons_path(self.pressing.output)
            if self.plan.distillation is not None:
                of = self._fingerprint()
                check_begun(lessons, of)
                stack.enter_context(kept_if_stopped(lessons))
            place = stack.enter_context(hidden_beside(self.pressing.output))
            # Only when it is needed: where a stopped one goes on, nothing is measured again.
            prepared = cache(partial(self._prepared, place, progress))
            workshop = _Workshop(self.plan, prepared, place, lessons, of, progress)
            try:
                if self.plan.settings.faster:
                    made = workshop.shrunk(self.plan.settings.faster)
                    # The original and its statistics are not needed any more, and pressing takes memory, too.
                    prepared.cache_clear()
                    release_memory()
                    return self._pressed(*made, progress, on_trial)
                return self._as_fast_as_allowed(workshop, progress, on_trial)
            except Unreached as unreached:
                return Ended(unreached=_unreached(self.plan.settings.faster, unreached.fastest))

    def _fingerprint(self) -> str:
        """Return a digest of everything that a distillation follows from."""
        assert self.plan.distillation is not None  # noqa: S101  only then it is asked for
        rows = (self.plan.distillation.encoded.rows, self.plan.fitted.rows, self.plan.apart.rows)
        return digest_of(self.pressing, self.runs_on.where, repr(self.budget), json.dumps(rows))

    def _prepared(self, place: Path, progress: Progress) -> Prepared:
        timed = rows_of(self.plan.apart, range(min(_TIMED, len(self.plan.apart.rows))))
        watch = Stopwatch(self.runs_on.runtime, self.runs_on.precision, timed, self.plan.longest, place)
        asked = self._question(timed)
        prepared = prepare(self.plan, watch.seconds, self.runs_on.where, progress, _known_clock(asked))
        remember(asked, json.dumps(to_plain(prepared.clock)))
        return prepared

    def _question(self, timed: Encoded) -> dict[str, str]:
        """Return all that the clock depends on: the machine, the model, the runtime, the texts' lengths."""
        shapes = [(1, length) for length in sorted(timed.lengths)]
        return question(
            self.plan.path, "clock of structures", self.runs_on.runtime, self.runs_on.precision, shapes
        )

    def _as_fast_as_allowed(self, workshop: _Workshop, progress: Progress, on_trial: OnTrial) -> Ended:
        """Bisect the speed by real evaluations, and press the fastest model that the budget allows.

        Where the pressed one does not keep it after all, the next slower one has its turn.
        """
        assert self.judge is not None  # noqa: S101  a budget was asked for
        judge, budget = self.judge, _share_of(self.budget)
        texts = halve_texts(judge.plan.texts).search
        own_quality = judge.own_quality(texts, progress)
        if own_quality is not None:
            budget.check_reachable(own_quality, judge.plan.path)
        made: dict[float, tuple[Path, ShrinkReport]] = {}

        def allows(faster: float) -> bool:
            try:
                made[faster] = workshop.shrunk(faster)
            except Unreached:
                return False
            quality = judge.quality(made[faster][0], texts, progress=progress)
            drop = quality.drop.value if quality.drop is not None else None
            agreement = quality.agreement.value if quality.agreement is not None else None
            return budget.allows(drop, agreement, quality.recalls)

        speed = fastest_allowed(SPEEDS, allows)
        ended = Ended(unreached="Not reached: no smaller structure keeps the budget. Nothing was written.")
        slower = [faster for faster in reversed(SPEEDS) if speed is not None and faster <= speed]
        for faster in slower:
            if faster not in made:
                made[faster] = workshop.shrunk(faster)
            ended = self._pressed(*made[faster], progress, on_trial)
            if ended.held:
                break
        return ended

    def _pressed(self, directory: Path, report: ShrinkReport, progress: Progress, on_trial: OnTrial) -> Ended:
        """Press a smaller model into the output, within the budget if there is one."""
        plan = pipeline.plan(
            directory,
            self.pressing.recipe,
            self.pressing.output,
            force=self.pressing.force,
            vocabulary=_as_shrunk(self.vocabulary, self.plan.path, directory),
            original=self.plan.path,
            shrink=report,
        )
        calibration = None
        if self.calibration is not None:
            calibration = dataclasses.replace(self.calibration, path=directory)
        can_search = plan.recipe.noise is not None and plan.recipe.stored_as.is_sized_by_noise
        if self.budget.is_given and calibration is not None and can_search:
            judge = self.judge if self.budget.is_of_quality else None
            mend = None if self.healing is None else self.healing.run
            outcome, manifest = search(
                plan, calibration, self.budget, judge, on_trial=on_trial, progress=progress, mend=mend
            )
            return Ended(manifest, outcome)
        statistics = None
        if calibration is not None:
            statistics = collect(calibration, progress)
        if not self.budget.is_given:
            return Ended(press(plan, statistics, self.healing, progress))
        # There is no noise to search: one result is judged, on texts that the speed was not chosen by.
        pressed = plan.with_recipe(plan.recipe, directory.parent / f"{directory.name}-pressed")
        manifest = pipeline.run(pressed, progress, statistics)
        output = pressed.output
        if self.healing is not None:
            output, manifest = self.healing.run(pressed, output, progress)
        quality = None
        if self.judge is not None:
            quality = self.judge.quality(output, halve_texts(self.judge.plan.texts).check, progress=progress)
        is_small = self.budget.allows_size(manifest.nbytes, plan.before.nbytes)
        if self.budget.decide(quality) not in KEPT or not is_small:
            return Ended(unreached=_not_kept(self.budget, plan.before.nbytes, quality))
        return Ended(pipeline.publish(output, plan))


@dataclass(frozen=True)
class Ended:
    """What came of it. ``unreached`` says why nothing was written, where the structure was the reason."""

    manifest: Manifest | None = None
    outcome: Outcome | None = None
    unreached: str = ""

    @property
    def held(self) -> bool:
        """Whether what was asked for was reached."""
        return not self.unreached and (self.outcome is None or self.outcome.held)


def _known_clock(asked: dict[str, str]) -> Clock | None:
    """Return the clock that was measured before; None if there is none, or it is damaged."""
    known = recall_any(asked)
    if known is None:
        return None
    try:
        return from_plain(json.loads(known), Clock)
    except ValueError:
        return None


def _unreached(wanted: float, fastest: float) -> str:
    return (
        f"Not reached: {number(wanted)} times as fast. The fastest structure is {number(fastest)} times as "
        "fast. Nothing was written."
    )


def _not_kept(budget: Budget, nbytes: int, quality: Quality | None) -> str:
    found = ""
    if quality is not None and quality.drop is not None:
        found = f" The last one: {drop_in_words(quality.drop)}."
    return f"Not reached: {budget.describe(nbytes)}.{found} Nothing was written."


def _share_of(budget: Budget) -> Budget:
    """Return what shrinking alone may take of a budget."""
    drop = budget.drop_allowed
    agreement = budget.agreement_needed
    # What must be found must be found all the way.
    return dataclasses.replace(
        budget,
        max_drop=None if drop is None else _SHARE * drop,
        min_agreement=None if agreement is None else 1 - _SHARE * (1 - agreement),
        max_size=None,
    )


def _as_shrunk(vocabulary: Vocabulary | None, original: Path, directory: Path) -> Vocabulary | None:
    """Return a vocabulary whose config says of the structure what the smaller model's does."""
    if vocabulary is None:
        return None
    before = any_config(original)
    changes: dict[str, object] = {}
    for name, value in any_config(directory).items():
        if before.get(name) != value:
            changes[name] = value
    return dataclasses.replace(vocabulary, config={**vocabulary.config, **changes})
