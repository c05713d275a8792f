"""What ``prensa compress`` does with a budget: search, say each trial as it comes, and how it ended."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console

from prensa.calibration.plan import CalibrationPlan
from prensa.cli.notes import print_notes
from prensa.cli.options import NOT_HELD
from prensa.cli.progress import stages
from prensa.cli.tables import print_result
from prensa.errors import RecipeError
from prensa.evaluation.verdict import drop_in_words
from prensa.pipeline import Plan
from prensa.search.budget import NO_NOISE, Budget, Trial
from prensa.search.referee import Judging, referee_for
from prensa.search.search import Found, search
from prensa.wording import megabytes, number, percent


def keep_budget(
    plan: Plan, calibration: CalibrationPlan | None, budget: Budget, judging: Judging, *, as_json: bool
) -> None:
    """Search, print how it ended, and exit with 1 where the budget was not kept."""
    if calibration is None:
        raise RecipeError(NO_NOISE)
    found = run_search(plan, calibration, budget, judging)
    if as_json:
        typer.echo(json.dumps({"output": str(plan.output), **json.loads(found.to_json())}, indent=1))
    else:
        if found.manifest is not None:
            print_result(found.manifest, plan.output)
        typer.echo(describe(found, plan.checkpoint.nbytes, plan.output))
    if not found.held:
        raise typer.Exit(NOT_HELD)


def run_search(plan: Plan, calibration: CalibrationPlan, budget: Budget, judging: Judging) -> Found:
    """Search, with a bar, and a line for each trial on stderr."""
    original = plan.checkpoint.nbytes
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def tell(trial: Trial, held: bool) -> None:  # noqa: FBT001
        console.print(f"{_described(trial, original)}: {'kept' if held else 'not kept'}", soft_wrap=True)

    with stages(console) as progress:
        judge = referee_for(plan.checkpoint.path, judging) if budget.is_of_quality else None
        print_notes("" if judge is None else judge.plan.texts.account)
        return search(plan, calibration, budget, judge, tell=tell, progress=progress)


def describe(found: Found, original: int, output: Path) -> str:
    """Say how a search ended, in one sentence or two."""
    wanted = found.budget.describe()
    if found.winner is None:
        text = f"Not reached: {wanted}. The best was {_described(found.best, original)}"
        if found.check is not None:
            text += f"; on texts that the search had not seen: {_quality(found.check)}"
        return f"{text}. Nothing was written."
    size = f"{megabytes(found.winner.nbytes)}, {percent(found.winner.nbytes, original)} of the original"
    text = f"{output} takes {size}"
    if found.interrupted:
        return (
            f"Interrupted: {text}, the best so far for {wanted}, NOT checked on other texts. "
            "Run the same command with --force to go on."
        )
    if found.drop is not None:
        text += f"; {drop_in_words(found.drop)} on texts that the search had not seen"
    if found.check is not None and found.check.agreement is not None:
        text += f"; the same answer on {number(100 * found.check.agreement)} % of them"
    return f"{text}. Kept: {wanted}."


def _described(trial: Trial, original: int) -> str:
    text = f"noise {trial.noise:.2g}, {megabytes(trial.nbytes)} ({percent(trial.nbytes, original)})"
    quality = _quality(trial)
    return f"{text}, {quality}" if quality else text


def _quality(trial: Trial) -> str:
    parts = []
    if trial.drop is not None:
        parts.append(f"{trial.drop_of} drops by {number(100 * trial.drop)} points")
    if trial.agreement is not None:
        parts.append(f"same answer on {number(100 * trial.agreement)} %")
    return ", ".join(parts)
