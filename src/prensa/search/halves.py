"""The texts of a search: one half to look for a noise with, the other for the last word."""

from __future__ import annotations

from prensa.evaluation.halves import MOST_TEXTS, Halves, halve_texts
from prensa.evaluation.judge import JudgePlan

__all__ = ["MOST_TEXTS", "Halves", "halve"]


def halve(plan: JudgePlan) -> Halves:
    """Deal the texts of a judge out. Raises :class:`~prensa.errors.DataError` if they are too few."""
    return halve_texts(plan.texts)
