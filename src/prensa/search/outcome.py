"""How a search for a budget ended."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from prensa.evaluation.budget import AUTO, Budget
from prensa.evaluation.decision import Decision
from prensa.evaluation.figures import Drop, Quality
from prensa.evaluation.verdict import few_same, guessing_in_words, little_to_lose
from prensa.search.trial import Trial


@dataclass(frozen=True)
class Check:
    """A trial judged on texts that the search has not seen."""

    trial: Trial
    quality: Quality
    decision: Decision
    texts_needed: int | None


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    ``winner`` is the trial that was written to the output, None where no trial kept the budget. ``check``
    is the winner judged on texts that the search has not seen, ``drop`` with its interval if there is one.
    The budget is ``held`` only if that says so, too. ``best`` is the nearest that was reached, whatever it
    is. ``nbytes_before`` are the bytes of the original's weight files.

    ``decision`` says how the check ended (see :data:`prensa.evaluation.decision.Decision`), None without one,
    and ``interval_beyond`` that an interval of it reaches beyond the budget.
    ``texts_needed`` are the texts to judge by that would decide the budget, None where it was decided.
    ``warnings`` say what the check proves less than it seems to.
    """

    budget: Budget
    nbytes_before: int
    trials: tuple[Trial, ...]
    winner: Trial | None
    check: Trial | None
    drop: Drop | None
    held: bool
    best: Trial
    interrupted: bool = False
    decision: Decision | None = None
    interval_beyond: bool = False
    texts_needed: int | None = None
    warnings: tuple[str, ...] = ()

    def checked(self, check: Check) -> Outcome:
        """Return it with what the check of its winner found."""
        return dataclasses.replace(
            self,
            check=check.trial,
            drop=check.quality.drop,
            decision=check.decision,
            interval_beyond=self.budget.interval_reaches_beyond(check.quality),
            texts_needed=of_data(check.texts_needed),
            warnings=tuple(warnings_of(check.quality, self.budget)),
        )

    def to_json(self) -> str:
        """Write everything out; the budget as shares and bytes, without the texts it was judged on."""
        content = dataclasses.asdict(dataclasses.replace(self, budget=Budget()))
        content["budget"] = {
            "max_drop": self.budget.drop_allowed,
            "min_agreement": self.budget.agreement_needed,
            "metric": self.budget.metric,
            "min_recall": self.budget.recalls_needed or None,
            "label_threshold": self._thresholds() or None,
            "max_bytes": self.budget.max_bytes(self.nbytes_before),
        }
        return json.dumps(content, indent=1) + "\n"

    def _thresholds(self) -> dict[str, float | str]:
        """Return the thresholds as they were given; an empty name is every label."""
        return {**self.budget.thresholds, **dict.fromkeys(self.budget.to_choose, AUTO)}


def of_data(needed: int | None) -> int | None:
    """Return how many texts must be given for so many to check by: the other half is for the search."""
    if needed is None:
        return None
    return 2 * needed


def warnings_of(quality: Quality, budget: Budget) -> list[str]:
    """Say what a comparison proves less than it seems to."""
    advice = ""
    if budget.min_agreement is None:
        advice = ": add `min_agreement`"
    warnings = [f"{reason}{advice}" for reason in few_same(quality)]
    if quality.guessing is not None and not warnings:
        warnings.append(f"{guessing_in_words(quality.guessing)}{advice}")
    if budget.drop_allowed is not None:
        warnings += little_to_lose(quality, budget.drop_allowed)
    if quality.alike == "one-sided":
        warnings.append(
            "the original gives all of these texts the same label, so that agreement proves little"
        )
    return warnings
