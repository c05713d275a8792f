"""A frontier: what each size costs in quality, before one is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.calibration.plan import CalibrationPlan, plan_calibration
from prensa.checkpoint.locate import locate
from prensa.evaluation.budget import Budget, OfLabels
from prensa.evaluation.frontier import Frontier
from prensa.evaluation.judge import Judge, plan_judge
from prensa.extras import require
from prensa.files.atomic import at_home
from prensa.jobs.permissions import Permissions
from prensa.jobs.scale import Scale
from prensa.jobs.sources import Where, both
from prensa.pressing import pipeline
from prensa.pressing.recipe import load_preset
from prensa.progress import Progress, silent
from prensa.report.frontier import check_frontier_place, write_frontier
from prensa.search.frontier import NOISES, OnPoint, ignore_point, measure_frontier
from prensa.texts.library import Library
from prensa.texts.source import Source

# Texts that each point is judged by, unless the source says how many.
_JUDGED = 2000


@dataclass(frozen=True)
class Exploration:
    """What to explore, and on which texts: the parameters of :func:`prensa.frontier`.

    ``noises`` are the calibrated points; None takes the usual ones. ``metric`` is what a drop is of.
    """

    model: str | Path
    output: str | Path
    data: Where
    texts: Where | None = None
    noises: Sequence[float] | None = None
    device: str | None = None
    metric: str | None = None
    label_threshold: OfLabels | None = None
    permissions: Permissions = Permissions()
    scale: Scale = Scale()

    def plan(self, progress: Progress = silent) -> ExplorationPlan:
        """Find out whether it can be done, and read the texts. Reads no weights.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        require("evaluate", "a frontier")
        # What is wrong with it is reported before any text is read.
        self.scale.check()
        budget = Budget(metric=self.metric, label_threshold=self.label_threshold)
        output = at_home(self.output)
        check_frontier_place(output)
        library = Library()
        texts, data = both(self.texts, self.data)
        assert data is not None  # noqa: S101  it is not optional here
        data = dataclasses.replace(data, limit=data.limit or _JUDGED)
        device = self.scale.device(self.device)
        with self.permissions.granted():
            model = locate(self.model)
            pressing = pipeline.plan(model, load_preset("small"), output / "pressed")
            calibration = plan_calibration(
                model, texts or Source(), library=library, device=device, progress=progress
            )
            judge = plan_judge(model, data, library=library, device=device, progress=progress)
            judge = judge.in_terms_of(budget)
        return ExplorationPlan(self, output, pressing, self.scale.sliced(calibration), Judge(judge))


@dataclass(frozen=True)
class ExplorationPlan:
    """An exploration that can be done."""

    job: Exploration
    output: Path
    pressing: pipeline.Plan
    calibration: CalibrationPlan
    judge: Judge

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it runs: names in the checkpoint, and what was read."""
        return (
            *self.pressing.checkpoint.notes,
            self.calibration.account,
            self.judge.plan.texts.account,
        )

    def run(self, progress: Progress = silent, on_point: OnPoint = ignore_point) -> Frontier:
        """Measure every point, and write ``frontier.json`` and its page if there is any point."""
        model = self.pressing.checkpoint.path
        with self.job.permissions.granted(), self.job.scale.rounds(model) as rounds:
            frontier = measure_frontier(
                self.pressing,
                self.calibration,
                self.judge,
                noises=NOISES if self.job.noises is None else self.job.noises,
                on_point=on_point,
                progress=progress,
                tasks=rounds.tasks,
            )
        if frontier.points:
            write_frontier(frontier, self.output)
        return frontier
