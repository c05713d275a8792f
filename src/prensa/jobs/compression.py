"""A compression: the job that Prensa exists for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from prensa.calibration.collect import collected
from prensa.calibration.plan import CalibrationPlan, plan_calibration
from prensa.calibration.streaming import memory_from
from prensa.checkpoint.destination import check_destination
from prensa.checkpoint.locate import locate
from prensa.checkpoint.manifest import Manifest
from prensa.errors import SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.judge import Judge, plan_judge
from prensa.evaluation.results import Evaluation
from prensa.evaluation.terms import check_given
from prensa.extras import require
from prensa.files.atomic import at_home
from prensa.jobs import healing
from prensa.jobs.healing import Healing
from prensa.jobs.larger import account_of, check_larger
from prensa.jobs.permissions import Permissions
from prensa.jobs.runtimes import Exported, Runtimes, runtime_names
from prensa.jobs.scale import Scale
from prensa.jobs.shrinking import Ended, RunsOn, Shrinking
from prensa.jobs.sources import Where, both
from prensa.pressing import pipeline
from prensa.pressing.recipe import Changes, Recipe, adjusted, chosen_recipe
from prensa.progress import Progress, silent
from prensa.runtime.processor import processor_name
from prensa.search.noise import check_recipe
from prensa.search.outcome import Outcome
from prensa.search.search import OnTrial, ignore_trial, search
from prensa.search.trying import Rounds
from prensa.serving.exported import TORCH
from prensa.serving.in_pytorch import INT8
from prensa.shrink.plan import ShrinkPlan, plan_shrinking
from prensa.shrink.settings import Shrink
from prensa.texts.columns import Texts
from prensa.texts.library import Library
from prensa.texts.source import Source, as_source
from prensa.vocabulary.plan import Vocabulary, plan_vocabulary


@dataclass(frozen=True)
class Compression:
    """What to compress, how, and within which budget: the parameters of :func:`prensa.compress`.

    ``recipe`` is one, or its file. Without it and without a ``preset`` it is the preset ``small`` if there
    are texts, a budget or a noise, else ``int8``; ``changes`` are made to it. ``texts`` are calibrated on,
    ``budget.on`` are judged by; each is the other's default. ``runtime`` exports the
    result, too, and compares everything with the original.
    """

    model: str | Path
    output: str | Path
    preset: str | None = None
    recipe: Recipe | str | Path | None = None
    changes: Changes = Changes()
    texts: Where | None = None
    budget: Budget = Budget()
    device: str | None = None
    memory: int | str | None = None
    runtime: str | None = None
    drop_unused: bool = False
    force: bool = False
    permissions: Permissions = Permissions()
    scale: Scale = Scale()

    def plan(self, progress: Progress = silent) -> CompressionPlan:
        """Find out whether it can be done, read the texts, and decide what happens to each tensor.

        Reads no weights. Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        self._check()
        memory_from(self.memory)
        with self.permissions.granted():
            return self._plan(progress)

    def _check(self) -> None:
        """Raise :class:`SettingError` for parameters that do not go together."""
        self.scale.check()
        if self.budget.on is not None and not self.budget.is_given and self.runtime is None:
            judged = as_source(self.budget.on)
            has_labels = judged.label_column is not None or judged.labels is not None
            # Alone, without labels, it may still be what is calibrated on.
            if self.texts is not None or has_labels:
                raise SettingError(
                    "`data`, `label_column` and `labels` need a budget (`max_drop` …) or `runtime`"
                )
        has_texts = self.texts is not None or self.budget.on is not None
        if self.permissions.unchecked and (has_texts or self.budget.is_given or self.runtime is not None):
            raise SettingError(
                "`unchecked` compares nothing: leave `texts`, `data`, budgets and `runtime` out"
            )
        if self.permissions.unchecked and self.changes.shrink is not None:
            raise SettingError(
                "`unchecked`: nothing can be shrunk in a model whose class is not known; leave "
                "`shrink` and `faster` out"
            )
        if self.permissions.unchecked and self.changes.heal is not None:
            raise SettingError(
                "`unchecked`: a model whose class is not known cannot be healed; leave `heal` out"
            )
        if self.budget.is_given and self.changes.noise is not None:
            raise SettingError("`noise` cannot be combined with a budget: the search chooses the noise")
        if self.runtime is None:
            self.budget.check_together()
        if self.budget.is_given:
            require("evaluate", "a budget")

    def _plan(self, progress: Progress) -> CompressionPlan:
        # A recipe that is wrong is refused before the hub is asked for a model.
        recipe = self._recipe()
        model = locate(self.model)
        output = at_home(self.output)
        library = Library()
        texts, data = both(self.texts, self.budget.on)
        vocabulary = None
        if recipe.trim_vocabulary is not None:
            # Counting tokens takes its time: an output that cannot be written is found out before.
            check_destination(model.resolve(), output.resolve(), force=self.force)
            vocabulary = plan_vocabulary(
                model.resolve(), recipe.trim_vocabulary, texts, library=library, progress=progress
            )
        pressing = pipeline.plan(
            model, recipe, output, force=self.force, vocabulary=vocabulary, drop_unused=self.drop_unused
        )
        # What is shrunk is judged as it comes, with a noise to search or without one.
        if self.budget.is_given and recipe.shrink is None:
            check_recipe(pressing.recipe)
        calibration = self._calibration(pressing, texts, library, progress)
        is_shrunk = recipe.shrink is not None
        self.scale.check_used(calibration, has_budget=self.budget.is_given, is_shrunk=is_shrunk)
        if calibration is not None:
            check_larger(calibration, pressing, self.budget, self.runtime)
        judge = self._judge(pressing.checkpoint.path, data, library, progress)
        runtimes = None
        if self.runtime is not None:
            assert judge is not None  # noqa: S101  there is one wherever something is exported
            runtimes = Runtimes(
                names=runtime_names(self.runtime),
                original=pressing.checkpoint.path,
                judge=judge,
                # The limit of the texts is how many of them calibrate.
                texts=dataclasses.replace(texts or Source(), limit=None),
                data=data or Source(),
                library=library,
                force=self.force,
                permissions=self.permissions,
                budget=self.budget,
            )
            runtimes.check(pressing.output)
        # What is learnt at the end is not learnt from the texts that a budget is judged by.
        judged = None
        if judge is not None and self.budget.is_of_quality:
            judged = judge.plan.texts
        shrinking = None
        if recipe.shrink is not None:
            shrinking = self._shrinking(recipe.shrink, pressing, texts, library, progress, judged)
        mending = None
        if recipe.heal is not None:
            mending = healing.plan_of(recipe.heal, pressing, texts, library, self.device, progress, judged)
        return CompressionPlan(
            self, pressing, vocabulary, calibration, judge, runtimes, shrinking, healing=mending
        )

    def _shrinking(
        self,
        shrink: Shrink,
        plan: pipeline.Plan,
        texts: Source | None,
        library: Library,
        progress: Progress,
        judged: Texts | None,
    ) -> ShrinkPlan:
        """Plan what goes of the structure. Raises :class:`SettingError` where nothing says how much."""
        if not shrink.faster and not self.budget.is_of_quality:
            raise SettingError("`shrink` needs a speed (`faster=2x`) or a budget of quality (`max_drop` …)")
        return plan_shrinking(
            plan.checkpoint.path,
            shrink,
            texts or Source(),
            even=not plan.recipe.stored_as.holds_structure,
            library=library,
            device=self.device,
            progress=progress,
            judged=judged,
        )

    def _recipe(self) -> Recipe:
        """Return the recipe with its changes; calibrated by default wherever something calls for it."""
        # The built-in texts are no reason to calibrate, whatever is said of them.
        has_texts = as_source(self.texts).name is not None or self.budget.on is not None
        default = "int8"
        if has_texts or self.budget.is_given or self.changes.noise is not None:
            default = "small"
        recipe = chosen_recipe(self.preset, self.recipe, default=default)
        return adjusted(recipe, self.changes)

    def _calibration(
        self, plan: pipeline.Plan, texts: Source | None, library: Library, progress: Progress
    ) -> CalibrationPlan | None:
        if plan.needs_statistics:
            calibration = plan_calibration(
                plan.checkpoint.path,
                texts or Source(),
                library=library,
                device=self.scale.device(self.device),
                most=memory_from(self.memory),
                streams=True,
                progress=progress,
            )
            return self.scale.sliced(calibration)
        if self.memory is not None:
            raise SettingError(
                "`memory` bounds calibration, and no pass of the recipe needs that; use `preset=small`, or "
                "leave it out"
            )
        # Texts have another use: to count tokens in, or to measure ranges on.
        has_use = (plan.vocabulary, self.runtime, plan.recipe.shrink, plan.recipe.heal)
        is_used = any(use is not None for use in has_use)
        if self.texts is not None and (not is_used or (texts is not None and texts.limit is not None)):
            raise SettingError(
                "`texts` were given, but no pass of the recipe needs them; use `preset=small`, or leave "
                "them out"
            )
        return None

    def _judge(self, model: Path, data: Source | None, library: Library, progress: Progress) -> Judge | None:
        """Return who judges; None where nothing is judged. Raises :class:`SettingError` without texts."""
        if not self.budget.is_of_quality and self.runtime is None:
            return None
        if self.budget.is_of_quality and data is None:
            raise SettingError(
                "`max_drop` and `min_agreement` need texts to judge by: give `data` or `texts`"
            )
        require("evaluate", "`runtime`" if self.runtime is not None else "a budget")
        device = self.scale.device(self.device)
        if self.runtime is not None:
            # Exports run on the processor, and everything is compared where they run.
            device = "cpu"
        plan = plan_judge(model, data or Source(), library=library, device=device, progress=progress)
        plan = plan.in_terms_of(self.budget)
        if self.budget.is_of_quality:
            halves = halve_texts(plan.texts)
            for half, use in ((halves.search, "search on"), (halves.check, "check on")):
                some = plan.texts.take(half)
                # So that a message that counts these texts does not seem to miscount the file.
                named = dataclasses.replace(some, name=f"{some.name}, the half to {use}")
                check_given(plan.terms, plan.task, named)
        return Judge(plan)


@dataclass(frozen=True)
class CompressionPlan:
    """A compression that can be done: everything that is decided before a weight is read."""

    job: Compression
    pressing: pipeline.Plan
    vocabulary: Vocabulary | None
    calibration: CalibrationPlan | None
    judge: Judge | None
    runtimes: Runtimes | None
    shrinking: ShrinkPlan | None = None
    healing: Healing | None = None

    @property
    def output(self) -> Path:
        """Where the result is written."""
        return self.pressing.output

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it runs: names in the checkpoint, and what was read."""
        notes = list(self.pressing.checkpoint.notes)
        if self.vocabulary is not None:
            notes.append(self.vocabulary.account)
        if self.calibration is not None:
            notes.append(self.calibration.account)
            notes += account_of(self.calibration)
        if self.judge is not None:
            notes.append(self.judge.plan.texts.account)
        return tuple(notes)

    def run(self, progress: Progress = silent, on_trial: OnTrial = ignore_trial) -> Result:
        """Compress, and with a budget search; then export and compare if there is a ``runtime``.

        At every moment the output is as it was before, or whole and new. ``on_trial`` is called with each
        trial of a search and whether it keeps the budget.
        """
        with self.job.permissions.granted():
            unreached = ""
            if self.shrinking is None:
                outcome, manifest = self._compress(progress, on_trial)
            else:
                ended = self._shrink(self.shrinking, progress, on_trial)
                outcome, manifest, unreached = ended.outcome, ended.manifest, ended.unreached
            is_done = manifest is not None and (outcome is None or outcome.held)
            if self.runtimes is None or not is_done:
                return Result(self.output, manifest, outcome, unreached=unreached)
            exports, problems = self.runtimes.export(self.output, progress)
            evaluation = self.runtimes.compare(self.output, exports, progress)
            return Result(self.output, manifest, outcome, exports, evaluation, problems)

    def _shrink(self, plan: ShrinkPlan, progress: Progress, on_trial: OnTrial) -> Ended:
        runtime, precision = TORCH, "float32"
        # The first that it is exported to is where it will run.
        if self.runtimes is not None:
            runtime, precision = self.runtimes.names[0], INT8
        runs_on = RunsOn(runtime, precision, processor_name())
        job = Shrinking(
            plan,
            runs_on,
            self.pressing,
            self.vocabulary,
            self.calibration,
            self.judge,
            self.job.budget,
            self.healing,
        )
        return job.run(progress, on_trial)

    def _compress(self, progress: Progress, on_trial: OnTrial) -> tuple[Outcome | None, Manifest | None]:
        with self.job.scale.rounds(self.pressing.checkpoint.path) as rounds:
            return self._compress_in(rounds, progress, on_trial)

    def _compress_in(
        self, rounds: Rounds, progress: Progress, on_trial: OnTrial
    ) -> tuple[Outcome | None, Manifest | None]:
        if self.job.budget.is_given:
            assert self.calibration is not None  # noqa: S101  the recipe was checked
            judge = self.judge if self.job.budget.is_of_quality else None
            return search(
                self.pressing,
                self.calibration,
                self.job.budget,
                judge,
                on_trial=on_trial,
                progress=progress,
                mend=None if self.healing is None else self.healing.run,
                rounds=rounds,
            )
        if self.calibration is None:
            return None, healing.press(self.pressing, None, self.healing, progress)
        with collected(self.calibration, self.output, progress, rounds.tasks) as statistics:
            return None, healing.press(self.pressing, statistics, self.healing, progress)


@dataclass(frozen=True)
class Result:
    """What came of a compression.

    ``manifest`` says what is in ``output``, tensor by tensor; None where nothing was written. ``outcome`` is
    how a search ended, None without a budget. With a ``runtime`` there are ``exports``, in the order they
    were made, and the ``evaluation`` of everything; ``problems`` say which exports were not possible.
    ``unreached`` says, where a model was to become faster, that no structure of it is so fast.
    """

    output: Path
    manifest: Manifest | None
    outcome: Outcome | None = None
    exports: tuple[Exported, ...] = ()
    evaluation: Evaluation | None = None
    problems: tuple[str, ...] = ()
    unreached: str = ""

    @property
    def held(self) -> bool:
        """Whether the budget holds and the speed was reached; true where none was given."""
        return not self.unreached and (self.outcome is None or self.outcome.held)
