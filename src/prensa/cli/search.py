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
from prensa.pressing.pipeline import Plan
from prensa.search.budget import NO_NOISE, Budget, Trial
from prensa.search.referee import MOST_TEXTS, Judging, referee_for
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
    """Say how a search ended, in a few sentences."""
    wanted = found.budget.describe()
    if found.winner is None:
        return f"{_not_kept(found, original)} Nothing was written."
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
        text += f"; the same answer on {_agreement(found.check)} of them"
    doubt = " (as measured: the interval goes beyond it)" if found.decision == "doubtful" else ""
    return f"{text}. Kept: {wanted}{doubt}.{_warnings(found)}"


def _not_kept(found: Found, original: int) -> str:
    wanted = found.budget.describe()
    best = f"The best was {_described(found.best, original)}"
    if found.check is not None:
        seen = "" if found.drop is None else f" ({drop_in_words(found.drop)})"
        best += f"; on texts that the search had not seen: {_quality(found.check)}{seen}"
    if found.texts_needed is None:
        return f"Not reached: {wanted}. {best}.{_warnings(found)}"
    even = ", even if no answer changes" if found.check is None else ""
    return (
        f"Not decided: {wanted}. On the texts that the search had not seen the 95 % interval is wider than "
        f"twice the budget{even}; about {found.texts_needed:,} texts in --data would decide it"
        f"{_beyond(found.texts_needed)}. {best}.{_warnings(found)}"
    )


def _beyond(needed: int) -> str:
    """Say that a search does not read so many."""
    if needed <= 2 * MOST_TEXTS:
        return ""
    return f", and a search reads {2 * MOST_TEXTS:,} at most: allow a larger drop, or use prensa evaluate"


def _warnings(found: Found) -> str:
    return "".join(f" But {warning}." for warning in found.warnings)


def _described(trial: Trial, original: int) -> str:
    text = f"noise {trial.noise:.2g}, {megabytes(trial.nbytes)} ({percent(trial.nbytes, original)})"
    quality = _quality(trial)
    return f"{text}, {quality}" if quality else text


def _quality(trial: Trial) -> str:
    parts = []
    if trial.drop is not None:
        parts.append(f"{trial.drop_of} drops by {number(100 * trial.drop)} points")
    if trial.agreement is not None:
        parts.append(f"same answer on {_agreement(trial)}")
    return ", ".join(parts)


def _agreement(trial: Trial) -> str:
    """``98.00 % (95 % interval 94.10 to 99.50)``."""
    text = f"{number(100 * (trial.agreement or 0.0))} %"
    if trial.agreement_interval is None:
        return text
    low, high = (number(100 * end) for end in trial.agreement_interval)
    return f"{text} (95 % interval {low} to {high})"
