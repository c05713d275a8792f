"""What ``runtime`` of a compression does: export the result to other runtimes, and compare everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from prensa.errors import DataError, DifferentAnswersError, MissingPackageError, PrensaError, SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.judge import Judge
from prensa.evaluation.results import Evaluation
from prensa.extras import require
from prensa.jobs.approval import Approval
from prensa.jobs.comparison import Comparison
from prensa.jobs.permissions import Permissions
from prensa.progress import Progress, silent
from prensa.serving.engines import AUTO
from prensa.serving.export import ExportPlan, plan_export, run_export
from prensa.serving.exported import Record
from prensa.serving.runtimes import runtime_named
from prensa.texts.library import Library
from prensa.texts.source import Source

# What `auto` tries, by the names that directories get.
_ALL = ("openvino", "onnx")


@dataclass(frozen=True)
class Exported:
    """An export: where it lies, and its record."""

    path: Path
    record: Record


@dataclass(frozen=True)
class Runtimes:
    """Where a result is exported to, and what everything is compared with."""

    names: tuple[str, ...]
    original: Path
    judge: Judge
    texts: Source
    data: Source
    library: Library
    force: bool
    permissions: Permissions
    budget: Budget = Budget()

    def check(self, output: Path) -> None:
        """Find out what can be found out before anything is compressed. Raises a :class:`PrensaError`."""
        for name in self.names:
            self.plan(self.original, output, name)

    def plan(self, model: Path, output: Path, name: str, precision: str = "int8") -> ExportPlan:
        """Plan one export, beside the output."""
        return plan_export(
            model,
            output.parent / f"{output.name}-{name}",
            to=name,
            precision=precision,
            texts=self.texts,
            library=self.library,
            force=self.force,
        )

    def export(
        self, output: Path, progress: Progress = silent
    ) -> tuple[tuple[Exported, ...], tuple[str, ...]]:
        """Export what was compressed to each runtime. Return what was made, and why something was not.

        Raises the :class:`~prensa.errors.PrensaError` of the last one where it works in none.
        """
        exports: list[Exported] = []
        problems: list[str] = []
        for name in self.names:
            try:
                exports.append(self._export(output, name, problems, progress))
            except PrensaError as error:
                if not exports and name == self.names[-1]:
                    raise
                problems.append(str(error))
        return tuple(exports), tuple(problems)

    def _export(self, output: Path, name: str, problems: list[str], progress: Progress) -> Exported:
        """Export in 8 bits or, where answers differ too much or break the budget, in the next precision."""
        known = runtime_named(name).PRECISIONS
        # Fewer bits than 8 are for whoever asks for them.
        precisions = known[known.index("int8") :: -1]
        for precision in precisions[:-1]:
            plan = self.plan(output, output, name, precision)
            approval = None
            if self.budget.is_of_quality:
                approval = Approval(self.judge, self.budget, plan)
            try:
                return Exported(plan.output, run_export(plan, progress, approval))
            # The latter where the texts cannot tell, which is no reason to take it.
            except (DifferentAnswersError, DataError) as error:
                problems.append(f"{error}; the next one was taken")
        # In full precision it answers as the result does, which was judged already.
        plan = self.plan(output, output, name, precisions[-1])
        return Exported(plan.output, run_export(plan, progress))

    def compare(self, output: Path, exports: tuple[Exported, ...], progress: Progress = silent) -> Evaluation:
        """Compare the result and its exports with the original."""
        paths = [export.path for export in exports]
        job = Comparison(
            self.original,
            (output, *paths),
            data=self.data,
            device="cpu",
            metric=self.budget.metric,
            label_threshold=self.budget.label_threshold,
            permissions=self.permissions,
        )
        return job.plan_with(self.judge).run(progress)


def runtime_names(runtime: str) -> tuple[str, ...]:
    """List the runtimes that are meant: one, or all that are installed.

    Raises :class:`SettingError` for one that does not exist, and :class:`MissingPackageError` if none is
    installed.
    """
    if runtime != AUTO:
        try:
            runtime_named(runtime)
        except SettingError:
            # Here the parameter has another name than where a model is exported.
            expected = ", ".join([*_ALL, AUTO])
            raise SettingError(f"`runtime={runtime}`: expected one of {expected}") from None
        return (runtime,)
    names: list[str] = []
    for name in _ALL:
        try:
            require(runtime_named(name).NAME, "`runtime=auto`")
        except MissingPackageError:
            continue
        names.append(name)
    if not names:
        require(_ALL[0], "`runtime=auto`")
    return tuple(names)


def fastest(evaluation: Evaluation) -> str | None:
    """Return the path of the result that answers one text soonest, over the lengths that were timed.

    None where not all were timed: the comparison was interrupted.
    """
    seconds: dict[str, float] = {}
    for result in evaluation.results:
        alone = [median(timing.seconds) for timing in result.timings if timing.batch_size == 1]
        if not alone:
            return None
        seconds[result.path] = sum(alone)
    return min(seconds, key=seconds.__getitem__)
