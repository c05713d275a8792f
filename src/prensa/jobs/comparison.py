"""A comparison of results with their original: size, speed, memory and quality."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.locate import locate
from prensa.errors import SettingError
from prensa.evaluation import evaluate
from prensa.evaluation.budget import AUTO, Budget, OfLabels, share_of
from prensa.evaluation.judge import Judge, plan_judge
from prensa.evaluation.plan import Plan, plan
from prensa.evaluation.results import Evaluation, Settings
from prensa.extras import require
from prensa.jobs.permissions import Permissions
from prensa.progress import Progress, silent
from prensa.texts.library import Library
from prensa.texts.source import Source, as_source


@dataclass(frozen=True)
class Comparison:
    """What to compare, on which texts, and how models run: the parameters of :func:`prensa.evaluate`."""

    original: str | Path
    results: tuple[str | Path, ...]
    data: Source | str | Path | None = None
    batch_size: int | None = None
    max_length: int | None = None
    device: str | None = None
    dtype: str | None = None
    max_drop: float | str | None = None
    cascade: float | str | None = None
    metric: str | None = None
    min_recall: OfLabels | None = None
    label_threshold: OfLabels | None = None
    permissions: Permissions = Permissions()

    def plan(self, progress: Progress = silent) -> ComparisonPlan:
        """Find out whether it can be done, and read the texts. Reads no weights.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        require("evaluate", "evaluating")
        if not self.results:
            raise SettingError("`results`: expected at least one result to compare with the original")
        # What is wrong with the budget is reported before any text is read.
        budget = self._budget()
        share_of("cascade", self.cascade)
        if self.cascade is not None and self.label_threshold is not None:
            raise SettingError("`cascade` compares the likeliest labels: leave `label_threshold` out")
        with self.permissions.granted():
            judge = plan_judge(
                locate(self.original),
                as_source(self.data),
                library=Library(),
                batch_size=self.batch_size,
                max_length=self.max_length,
                device=self.device,
                dtype=self.dtype,
                progress=progress,
            )
            return self.plan_with(Judge(judge.in_terms_of(budget)))

    def _budget(self) -> Budget:
        return Budget(
            max_drop=self.max_drop,
            metric=self.metric,
            min_recall=self.min_recall,
            label_threshold=self.label_threshold,
        )

    def plan_with(self, judge: Judge) -> ComparisonPlan:
        """Do so with a judge that has read the texts already."""
        with self.permissions.granted():
            results = [locate(result) for result in self.results]
            return ComparisonPlan(self, plan(self._settled(judge), judge, results))

    def _settled(self, judge: Judge) -> Settings:
        """Return the settings with the labels by name whose thresholds are chosen."""
        settings = self.settings()
        thresholds: dict[str, float | str] = dict(settings.label_threshold or {})
        for label in judge.plan.terms.to_choose:
            thresholds[judge.plan.task.labels[label]] = AUTO
        return dataclasses.replace(settings, label_threshold=thresholds or None)

    def settings(self) -> Settings:
        """Return what ``results.json`` keeps of the job."""
        source = as_source(self.data)
        budget = self._budget()
        data = None
        if source.name is not None:
            data = str(source.name)
        return Settings(
            str(self.original),
            tuple(str(result) for result in self.results),
            data=data,
            text_column=source.text_option,
            label_column=source.label_option,
            split=source.split,
            limit=source.limit,
            batch_size=self.batch_size,
            max_length=self.max_length,
            device=self.device,
            dtype=self.dtype,
            max_drop=budget.drop_allowed,
            encoding=source.encoding,
            labels=source.mapping,
            cascade=share_of("cascade", self.cascade),
            metric=self.metric,
            min_recall=budget.recalls_needed or None,
            label_threshold=dict(budget.thresholds) or None,
        )


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison that can be done. ``notes`` say what was read."""

    job: Comparison
    evaluation: Plan

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it runs."""
        return (self.evaluation.judge.plan.texts.account,)

    def run(self, progress: Progress = silent) -> Evaluation:
        """Measure. After an interruption this is what there is, with the rest in ``missing``."""
        with self.job.permissions.granted():
            return evaluate.run(self.evaluation, progress)
