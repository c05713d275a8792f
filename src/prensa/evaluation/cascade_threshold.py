"""From which margin on a small model's answer is good enough: chosen on some texts, confirmed on others.

What a cascade answers follows from the answers of its two models, so that every threshold can be judged
without another evaluation. It is judged as any other result is: by :func:`~prensa.evaluation.quality.compare`
and :meth:`~prensa.evaluation.budget.Budget.decide`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from prensa.evaluation import classification as cls
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import KEPT, Decision, is_within
from prensa.evaluation.figures import AGREEMENT, Figure, Quality
from prensa.evaluation.halves import Halves, halve_texts
from prensa.evaluation.predict import Output
from prensa.evaluation.quality import Outputs, compare
from prensa.serving.margins import Margins, margins, unsure

# From a share that goes on, and that texts not seen before find too small, to the next: as a search does.
_STRIDES = (1.0, 1.2, 2.0)
# A threshold is a number that people copy, so it has few digits. Sure answers have margins such as 0.9998.
_DIGITS = 6


@dataclass(frozen=True)
class Choice:
    """A threshold, and what it does to the texts that it was confirmed on.

    ``min_agreement`` is the share of answers that must be the original's, and ``decision`` whether they are.
    Of ``texts`` the share ``passed_on`` goes on to the original. ``alone`` is the agreement of the small
    model without it, and ``agreement`` that of both. ``texts_needed`` is about how many texts would decide,
    None if these did.
    """

    threshold: float
    min_agreement: float
    decision: Decision
    texts: int
    passed_on: float
    alone: Figure
    agreement: Figure
    texts_needed: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the agreement was confirmed."""
        return self.decision in KEPT


def choose(
    outputs: Outputs, min_agreement: float | str, draws: Draws | None = None
) -> tuple[Choice, Quality]:
    """Choose the threshold that passes fewest texts on, and return it with the quality on the other half.

    ``outputs`` are those of the original and of the small model alone. Where no threshold is confirmed, the
    last one that was tried is returned, with its decision. Raises :class:`~prensa.errors.DataError` for too
    few texts, and :class:`~prensa.errors.SettingError` for an agreement that is no share.
    """
    budget = Budget(min_agreement=min_agreement)
    halves = halve_texts(outputs.texts)
    sure = margins(outputs.task.kind, outputs.result)
    own = sure[halves.search]
    least = _fewest(own, _same(outputs, halves), budget)
    for stride in _STRIDES:
        # At least one more text: a share of none stays none however long the stride.
        count = least
        if stride > 1:
            count = max(math.ceil(stride * least), least + 1)
        threshold = _above(own, count)
        choice, quality = _confirmed(outputs, halves, sure, threshold, budget, draws or Draws())
        if choice.is_kept:
            break
    return choice, quality


def cascaded(outputs: Outputs, sure: Margins, threshold: float) -> list[Output]:
    """Return what a cascade answers: the small model's outputs, and the original's where it is not sure."""
    answers = list(outputs.result)
    for index in unsure(sure, threshold):
        answers[index] = outputs.original[index]
    return answers


def times_as_fast(small: float, original: float, passed_on: float) -> float:
    """Return how many times as fast a cascade is, from seconds for a text and the share that goes on."""
    return original / (small + passed_on * original)


def _same(outputs: Outputs, halves: Halves) -> cls.Flags:
    some = outputs.take(halves.search)
    many = outputs.task.kind == "multi-label"
    before = cls.answers(some.original, many=many)
    after = cls.answers(some.result, many=many)
    return cls.same_answer(before, after)


def _fewest(sure: Margins, same: cls.Flags, budget: Budget) -> int:
    """Return how many of the texts must go on, the least sure ones first, for the rest to agree."""
    needed = budget.agreement_needed
    assert needed is not None  # noqa: S101  there is no choice without it
    changed = int((~same).sum())
    order = np.argsort(sure, kind="stable")
    for count, index in enumerate(order):
        if is_within(changed / len(sure), 1 - needed):
            return count
        changed -= int(not same[index])
    return len(sure)


def _above(sure: Margins, count: int) -> float:
    """Return a threshold that the ``count`` lowest margins stay below, and those that are as high."""
    if not count:
        return 0.0
    highest = float(np.sort(sure)[min(count, len(sure)) - 1])
    unit = 10.0**_DIGITS
    return max(0.0, round((math.floor(highest * unit) + 1) / unit, _DIGITS))


def _confirmed(
    outputs: Outputs, halves: Halves, sure: Margins, threshold: float, budget: Budget, draws: Draws
) -> tuple[Choice, Quality]:
    """Judge a threshold on the half that it was not chosen on."""
    some = outputs.take(halves.check)
    own = sure[halves.check]
    answers = cascaded(some, own, threshold)
    quality = compare(dataclasses.replace(some, result=answers), draws)
    decision = budget.decide(quality)
    needed = None
    if decision == "undecided":
        # As many again to choose on.
        of_a_half = budget.texts_needed(quality, len(own))
        needed = None if of_a_half is None else 2 * of_a_half
    alone = compare(some, Draws(0)).agreement or Figure(AGREEMENT, 0.0)
    agreement = quality.agreement or Figure(AGREEMENT, 0.0)
    choice = Choice(
        threshold=threshold,
        min_agreement=budget.agreement_needed or 0.0,
        decision=decision,
        texts=len(own),
        passed_on=len(unsure(own, threshold)) / len(own),
        alone=alone,
        agreement=agreement,
        texts_needed=needed,
    )
    return choice, quality
