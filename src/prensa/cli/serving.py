"""What ``prensa compress --runtime`` does after pressing: export, and compare with the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from prensa.cli.export import print_record
from prensa.cli.notes import print_notes
from prensa.cli.options import RUNTIME_NAMES
from prensa.cli.progress import stages
from prensa.errors import RecipeError
from prensa.evaluation.results import Settings
from prensa.exporter import ExportPlan, plan_export, run_export
from prensa.extras import require


@dataclass(frozen=True)
class Serving:
    """The settings; without ``runtime`` nothing is done.

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

        self._plan(original, output, self.runtime)
        print_notes(evaluate.plan(self._settings(original, original)).texts.account)

    def run(self, original: Path, output: Path) -> None:
        """Export what was pressed, and print how it compares."""
        if self.runtime is None:
            return
        from prensa.cli.comparison import print_evaluation
        from prensa.evaluation import evaluate

        plan = self._plan(output, output, self.runtime)
        with stages() as progress:
            record = run_export(plan, progress)
        typer.echo(f"Written to {plan.output}")
        print_record(record, plan.output, as_json=False)
        with stages() as progress:
            asked = self._settings(original, output, plan.output)
            print_evaluation(evaluate.run(evaluate.plan(asked, progress), progress))

    def _plan(self, model: Path, output: Path, runtime: str) -> ExportPlan:
        return plan_export(
            model,
            output.parent / f"{output.name}-{runtime}",
            runtime=RUNTIME_NAMES.get(runtime, runtime),
            texts=self.texts,
            text_column=self.text_column,
            split=self.split,
            force=self.force,
            encoding=self.encoding,
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
