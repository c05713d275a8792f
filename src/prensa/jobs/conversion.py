"""A conversion of a model for another runtime, with a budget if there is one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.locate import locate
from prensa.errors import SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import ACCURACY, RECALL, label_of, without_label
from prensa.evaluation.judge import Judge, plan_judge
from prensa.extras import require
from prensa.jobs.approval import Approval
from prensa.jobs.permissions import Permissions
from prensa.jobs.sources import Where, both
from prensa.progress import Progress, silent
from prensa.serving.export import ExportPlan, Judged, plan_export, run_export
from prensa.serving.exported import Record
from prensa.serving.layouts.table import layout_named
from prensa.serving.runtimes import runtime_named
from prensa.texts.library import Library
from prensa.texts.source import Source

# Texts that a budget is kept by: OpenVINO's accuracy control answers them once for each layer it tries.
_JUDGED = 1000


@dataclass(frozen=True)
class Conversion:
    """What to export, where to, and what it may cost: the parameters of :func:`prensa.export`."""

    model: str | Path
    output: str | Path
    to: str
    precision: str = "int8"
    layout: str | None = None
    texts: Where | None = None
    budget: Budget = Budget()
    force: bool = False
    permissions: Permissions = Permissions()

    def plan(self, progress: Progress = silent) -> ConversionPlan:
        """Find out whether it can be done, and read the texts. Reads no weights.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        with self.permissions.granted():
            return self._plan(progress)

    def _plan(self, progress: Progress) -> ConversionPlan:
        budget = self.budget
        budget.check_together()
        if budget.on is not None and not budget.is_of_quality:
            raise SettingError(
                "`data`, `label_column` and `labels` need a budget: give `max_drop` or `min_recall`"
            )
        layout = None
        if self.layout is not None:
            # Before anything is read: it may be for another runtime.
            layout = layout_named(self.layout, runtime_named(self.to).NAME)
        model = locate(self.model)
        library = Library()
        texts, data = both(self.texts, budget.on)
        if self.texts is None:
            # Ranges are measured on built-in texts unless texts are given: texts to judge by stay unseen.
            texts = None
        export = plan_export(
            model,
            Path(self.output),
            to=self.to,
            precision=self.precision,
            texts=texts or Source(),
            library=library,
            force=self.force,
        )
        export = dataclasses.replace(export, layout=layout)
        judge = None
        if budget.is_of_quality:
            judge = self._judge(model, data, library, progress)
        return ConversionPlan(self, export, judge)

    def _judge(self, model: Path, data: Source | None, library: Library, progress: Progress) -> Judge:
        require("evaluate", "a budget")
        if data is None:
            raise SettingError("`max_drop` and `min_recall` need texts to judge by: give `data` or `texts`")
        few = dataclasses.replace(data, limit=data.limit or _JUDGED)
        plan = plan_judge(model, few, library=library, device="cpu", dtype="float32", progress=progress)
        return Judge(plan.in_terms_of(self.budget))


@dataclass(frozen=True)
class ConversionPlan:
    """A conversion that can be done."""

    job: Conversion
    export: ExportPlan
    judge: Judge | None

    @property
    def output(self) -> Path:
        """Where it is written."""
        return self.export.output

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it runs: names in the checkpoint, and what was read."""
        notes = [*self.export.notes, *self.export.accounts]
        if self.judge is not None:
            notes.append(self.judge.plan.texts.account)
        return tuple(notes)

    def run(self, progress: Progress = silent) -> Record:
        """Export, compare with PyTorch, and keep the budget.

        Raises :class:`~prensa.errors.DifferentAnswersError` where the answers differ by more than the
        precision or the budget allows; then nothing was written.
        """
        with self.job.permissions.granted():
            if self.judge is None:
                return run_export(self.export, progress)
            self._check_reachable(self.judge, progress)
            export = dataclasses.replace(self.export, judged=self._judged(self.judge, progress))
            approval = Approval(self.judge, self.job.budget, export)
            return run_export(export, progress, approval)

    def _check_reachable(self, judge: Judge, progress: Progress) -> None:
        """Refuse, before anything is exported, what not even the original keeps to."""
        budget = self.job.budget
        if budget.metric is None and not budget.recalls_needed:
            return
        own_quality = judge.own_quality(range(len(judge.plan.texts)), progress)
        if own_quality is not None:
            budget.check_reachable(own_quality, judge.plan.path)

    def _judged(self, judge: Judge, progress: Progress) -> Judged | None:
        """Return the answers that a runtime's own accuracy control keeps: right ones, or the original's.

        It counts right answers, the likeliest label of each text: accuracy or, of texts with one label, its
        recall. Other metrics it does not know.
        """
        allowed = self.job.budget.drop_allowed
        plan = judge.plan
        if allowed is None or plan.task.kind != "classes":
            return None
        if plan.terms.thresholds or plan.terms.to_choose:
            return None
        if plan.texts.queries is not None:
            return None
        metric = plan.terms.metric
        if without_label(metric) == RECALL and plan.texts.labels is not None:
            right = plan.task.labels.index(label_of(metric))
            some = [index for index, label in enumerate(plan.texts.labels) if label == right]
            return Judged(plan.take(some).encoded, [right] * len(some), allowed)
        if metric not in {"", ACCURACY}:
            return None
        if plan.texts.labels is not None:
            answers = [int(label) for label in plan.texts.labels]
        else:
            outputs = judge.answers(range(len(plan.texts)), progress)
            answers = [int(logits.argmax()) for logits in outputs]
        return Judged(plan.encoded, answers, allowed)
