"""Results before the original, as a table: how many texts went on, what they cost, whether it pays."""

from __future__ import annotations

from prensa.evaluation.results import Cascade, Evaluation, Timing
from prensa.evaluation.speed import throughput
from prensa.evaluation.verdict import range_in_words
from prensa.report.table import NONE, Table
from prensa.wording import number

_KEPT = {
    "held": "confirmed",
    "doubtful": "confirmed, but the interval reaches below",
    "undecided": "too few texts to confirm",
    "exceeded": "not confirmed",
}


def cascade_table(evaluation: Evaluation) -> Table:
    """Make a row for each cascade."""
    columns = (
        "",
        "threshold",
        "go on to the original",
        "same answer alone",
        "same answer together",
        "texts a second: original, alone, together",
        "times as fast",
    )
    rows = []
    notes = []
    for cascade in evaluation.cascades:
        rows.append(_row(cascade))
        notes.append(_note(cascade))
    return Table("Cascade", columns, tuple(rows), " ".join(notes))


def _row(cascade: Cascade) -> tuple[str, ...]:
    choice = cascade.choice
    together = f"{number(100 * choice.agreement.value)} %"
    if choice.agreement.interval is not None:
        together += f" ({range_in_words(choice.agreement.interval)})"
    speed = cascade.times_as_fast
    timings = (cascade.of_original, cascade.of_result, cascade.of_both)
    return (
        f"{cascade.result} → original",
        f"{choice.threshold:g}",
        f"{number(100 * choice.passed_on)} % of the texts",
        f"{number(100 * choice.alone.value)} %",
        together,
        ", ".join(map(_rate, timings)),
        NONE if speed is None else f"{speed:.2f}",
    )


def _note(cascade: Cascade) -> str:
    """Say whether a cascade keeps what was asked for, what going on costs, and whether it pays."""
    choice = cascade.choice
    wanted = number(100 * choice.min_agreement)
    outcome = _KEPT.get(choice.decision, "nothing can be judged by these texts")
    line = f"{cascade.result} → original: {wanted} % the same answer: {outcome}, on {choice.texts:,} texts"
    line += " that the threshold was not chosen on"
    if choice.texts_needed is not None:
        line += f" (about {choice.texts_needed:,} in all decide)"
    cost = _cost(cascade)
    if cost is not None:
        line += f"; the texts that go on take {number(100 * cost)} % of the time"
    speed = cascade.times_as_fast
    if speed is not None and speed <= 1:
        line += ". It does not pay: the original alone is as fast or faster"
    return f"{line}."


def _cost(cascade: Cascade) -> float | None:
    """Return what share of a cascade's time passes after the result has answered."""
    if cascade.of_result is None or cascade.of_both is None:
        return None
    alone = throughput(cascade.of_both) / throughput(cascade.of_result)
    # Noise of the clock is no negative cost.
    return max(0.0, 1 - alone)


def _rate(timing: Timing | None) -> str:
    if timing is None:
        return NONE
    return f"{throughput(timing):,.1f}"
