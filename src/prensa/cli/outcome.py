"""How a search is told: a line for each trial, and a few sentences at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from prensa.cli.options import with_options
from prensa.evaluation.figures import in_words
from prensa.evaluation.halves import MOST_QUERIES, MOST_TEXTS
from prensa.evaluation.verdict import (
    drop_in_words,
    range_in_words,
    recall_in_words,
    thresholds_in_words,
    unit_of,
)
from prensa.search.outcome import Outcome
from prensa.search.trial import Trial
from prensa.wording import megabytes, number, percent


def trial_printer(console: Console, original: int) -> Callable[[Trial, bool], None]:
    """Return a function that prints a trial of a model that had ``original`` bytes."""

    def show(trial: Trial, held: bool) -> None:  # noqa: FBT001
        end = "not kept"
        if held:
            end = "kept"
        console.print(f"{_described(trial, original)}: {end}", soft_wrap=True)

    return show


def describe(outcome: Outcome, output: Path) -> str:
    """Say how a search ended, in a few sentences."""
    return with_options(_describe(outcome, output))


def _describe(outcome: Outcome, output: Path) -> str:
    original = outcome.nbytes_before
    wanted = outcome.budget.describe(original)
    if outcome.winner is None:
        return f"{_not_kept(outcome)} Nothing was written."
    nbytes = outcome.winner.nbytes
    text = f"{output} takes {megabytes(nbytes)}, {percent(nbytes, original)} of the original"
    if outcome.interrupted:
        return (
            f"Interrupted: {text}, the best so far for {wanted}, NOT checked on other texts. "
            "Run the same command with `force` to go on."
        )
    if outcome.drop is not None:
        text += f"; {drop_in_words(outcome.drop)} on {unit_of(outcome.drop.of)} that the search had not seen"
    if outcome.check is not None and outcome.check.agreement is not None:
        text += f"; the same answer on {_agreement(outcome.check)} of them"
    for recall in () if outcome.check is None else outcome.check.recalls:
        text += f"; recall of {recall.label} {recall_in_words(recall)}"
    if outcome.check is not None and outcome.check.thresholds:
        text += f"; {thresholds_in_words(outcome.check.thresholds)}"
    return f"{text}. Kept: {wanted}{_doubt(outcome)}.{_warnings(outcome)}"


def _doubt(outcome: Outcome) -> str:
    if outcome.decision != "doubtful":
        return ""
    if outcome.interval_beyond:
        return " (as measured: the interval goes beyond it)"
    return " (as measured, but not for certain)"


def _not_kept(outcome: Outcome) -> str:
    wanted = outcome.budget.describe(outcome.nbytes_before)
    unit = unit_of(outcome.best.drop_of)
    best = f"The best was {_described(outcome.best, outcome.nbytes_before)}"
    if outcome.check is not None:
        best += f"; on {unit} that the search had not seen: {_quality(outcome.check)}"
        if outcome.drop is not None:
            best += f" ({drop_in_words(outcome.drop)})"
    if outcome.texts_needed is None:
        return f"Not reached: {wanted}. {best}.{_warnings(outcome)}"
    even = ""
    if outcome.check is None:
        even = ", even if no answer changes"
    return (
        f"Not decided: {wanted}. On the {unit} that the search had not seen the 95 % interval is wider than "
        f"twice the budget{even}; about {outcome.texts_needed:,} {unit} in `data` would decide it"
        f"{_beyond(outcome.texts_needed, unit)}. {best}.{_warnings(outcome)}"
    )


def _beyond(needed: int, unit: str) -> str:
    """Say that a search does not read so many."""
    most = 2 * (MOST_QUERIES if unit == "queries" else MOST_TEXTS)
    if needed <= most:
        return ""
    return f", and a search reads {most:,} at most: allow a larger drop, or use prensa evaluate"


def _warnings(outcome: Outcome) -> str:
    text = ""
    for warning in outcome.warnings:
        text += f" But {warning}."
    return text


def _described(trial: Trial, original: int) -> str:
    text = f"noise {trial.noise:.2g}, {megabytes(trial.nbytes)} ({percent(trial.nbytes, original)})"
    quality = _quality(trial)
    if not quality:
        return text
    return f"{text}, {quality}"


def _quality(trial: Trial) -> str:
    parts = []
    if trial.drop is not None:
        parts.append(f"{in_words(trial.drop_of)} drops by {number(100 * trial.drop)} points")
    if trial.agreement is not None:
        parts.append(f"same answer on {_agreement(trial)}")
    for recall in trial.recalls:
        parts.append(f"recall of {recall.label} {recall_in_words(recall)}")
    return ", ".join(parts)


def _agreement(trial: Trial) -> str:
    """``98.00 % (95 % interval 94.10 to 99.50)``."""
    text = f"{number(100 * (trial.agreement or 0.0))} %"
    if trial.agreement_interval is None:
        return text
    return f"{text} (95 % interval {range_in_words(trial.agreement_interval)})"
