"""How a result was healed, in a sentence: the same in terminal and card."""

from __future__ import annotations

from prensa.checkpoint.manifest import HealReport
from prensa.checkpoint.shrunk import minutes
from prensa.wording import percent


def healed_in_words(report: HealReport, nbytes: int) -> str:
    """Say what learnt, how long and on how much, and what that did. ``nbytes`` are the weight files now."""
    text = (
        f"Healed: {report.numbers:,} scales, biases and norm weights learnt for {report.steps:,} steps "
        f"({minutes(report.seconds)}) on {report.texts:,} texts of {report.source}; loss "
        f"{report.loss_before:.3g} → {report.loss_after:.3g} on texts kept apart"
    )
    if report.kept:
        grown = nbytes - report.nbytes_before
        text += f", weight files {grown:+,} bytes ({percent(grown, report.nbytes_before)})"
    else:
        text += f"; the result is as it was before, since {report.why}"
    if report.stopped:
        text += "; stopped early"
    if report.broken:
        text += (
            f"; the loss became no number, so it ended there with what was best before (after "
            f"{report.best_step:,} steps)"
        )
    return f"{text}."
