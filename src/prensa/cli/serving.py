"""What ``prensa compress --runtime`` does after pressing: export, and compare with the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import typer

from prensa.cli.export import print_record
from prensa.cli.notes import print_notes
from prensa.cli.progress import stages
from prensa.errors import DifferentAnswersError, MissingPackageError, ModelError, RecipeError
from prensa.evaluation.results import Evaluation, Settings
from prensa.extras import require
from prensa.serving.export import ExportPlan, plan_export, run_export
from prensa.serving.runtimes import runtime_named
from prensa.texts.source import Source

_AUTO = "auto"
_INSTALLABLE = ("openvino", "onnx")


@dataclass(frozen=True)
class Serving:
    """The settings; without ``runtime`` nothing is done, ``auto`` is every runtime that is installed.

    ``texts`` and ``data`` are what ranges are measured and results judged on.
    """

    runtime: str | None
    texts: str | None
    data: str | None
    text_column: str | None
    label_column: str | None
    split: str | None
    force: bool
    as_json: bool
    encoding: str | None = None
    labels: dict[str, str] | None = None

    def check(self, original: Path, output: Path) -> None:
        """Find out before anything is pressed what can be found out. Raises a :class:`PrensaError`."""
        if self.runtime is None:
            return
        if self.as_json:
            raise RecipeError("--runtime prints three results; for JSON call compress, export and evaluate")
        require("evaluate", "--runtime")
        from prensa.evaluation import evaluate

        for runtime in self._runtimes():
            self._plan(original, output, runtime)
        print_notes(evaluate.plan(self._settings(original, original)).texts.account)

    def run(self, original: Path, output: Path) -> None:
        """Export what was pressed, and print how it compares."""
        if self.runtime is None:
            return
        from prensa.cli.comparison import print_evaluation
        from prensa.evaluation import evaluate

        exports = self._exports(output)
        with stages() as progress:
            asked = self._settings(original, output, *exports)
            evaluation = evaluate.run(evaluate.plan(asked, progress), progress)
        print_evaluation(evaluation)
        if self.runtime == _AUTO:
            typer.echo(f"\nThe fastest here: prensa.load('{_fastest(evaluation)}')")

    def _runtimes(self) -> list[str]:
        """List the runtimes to export to, by the names that the command has for them."""
        if self.runtime != _AUTO:
            return [str(self.runtime)]
        found = []
        for runtime in _INSTALLABLE:
            try:
                require(runtime_named(runtime).NAME, f"--runtime {_AUTO}")
            except MissingPackageError:
                continue
            found.append(runtime)
        if not found:
            require(_INSTALLABLE[0], f"--runtime {_AUTO}")
        return found

    def _exports(self, output: Path) -> list[Path]:
        """Export to each runtime. Raises :class:`ModelError` where it works in none."""
        exports = []
        for runtime in self._runtimes():
            try:
                exports.append(self._export(output, runtime))
            except (ModelError, DifferentAnswersError) as error:
                if not exports and runtime == self._runtimes()[-1]:
                    raise
                typer.echo(str(error), err=True)
        return exports

    def _export(self, output: Path, runtime: str) -> Path:
        """Export in 8 bits or, where answers differ too much in that, in the next precision."""
        precisions = runtime_named(runtime).PRECISIONS[::-1]
        for precision in precisions:
            plan = self._plan(output, output, runtime, precision)
            try:
                with stages() as progress:
                    record = run_export(plan, progress)
                break
            except DifferentAnswersError as error:
                if precision == precisions[-1]:
                    raise
                typer.echo(f"{error}; trying the next one", err=True)
        typer.echo(f"Written to {plan.output}")
        print_record(record, plan.output, as_json=False)
        return plan.output

    def _plan(self, model: Path, output: Path, runtime: str, precision: str = "int8") -> ExportPlan:
        return plan_export(
            model,
            output.parent / f"{output.name}-{runtime}",
            to=runtime,
            precision=precision,
            texts=Source(self.texts, self.text_column, split=self.split, encoding=self.encoding),
            force=self.force,
        )

    def _settings(self, original: Path, *results: Path) -> Settings:
        return Settings(
            str(original),
            tuple(map(str, results)),
            data=self.data if self.data is not None else self.texts,
            text_column=self.text_column,
            label_column=self.label_column,
            split=self.split,
            device="cpu",
            encoding=self.encoding,
            labels=self.labels,
        )


def _fastest(evaluation: Evaluation) -> str:
    """Return the path of the result that answers one text soonest, over the lengths that were timed."""
    seconds = {}
    for result in evaluation.results:
        alone = [timing for timing in result.timings if timing.batch_size == 1]
        seconds[result.path] = sum(median(timing.seconds) for timing in alone)
    return min(seconds, key=lambda path: seconds[path])
