"""Whether an export keeps a budget: asked when it is finished, and before it is in its place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from prensa.errors import DataError, DifferentAnswersError
from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import KEPT
from prensa.evaluation.judge import Judge
from prensa.evaluation.verdict import drop_in_words, recall_in_words, unit_of
from prensa.search.outcome import warnings_of
from prensa.serving.export import ExportPlan
from prensa.serving.exported import Record

_NOT_CERTAIN = "kept as measured, but not for certain"


@dataclass(frozen=True)
class Approval:
    """Judges an export by its answers to the judge's texts, as results are judged."""

    judge: Judge
    budget: Budget
    export: ExportPlan

    def __call__(self, directory: Path, record: Record) -> Record:
        """Return the record with what the export loses, and what that proves less than it seems to.

        Raises :class:`DifferentAnswersError` where that is more than the budget, and :class:`DataError` where
        the texts are too few to know.
        """
        quality = self.judge.quality(directory)
        decision = self.budget.decide(quality)
        texts = quality.queries or len(self.judge.plan.texts)
        unit = "texts" if quality.drop is None else unit_of(quality.drop.of)
        if decision == "undecided":
            needed = self.budget.texts_needed(quality, texts)
            raise DataError(
                f"{self.export.model}: {texts:,} {unit} are too few to decide the budget; about {needed:,} "
                f"{unit} would"
            )
        if decision not in KEPT:
            lost = "its answers give no number"
            if quality.drop is not None:
                lost = drop_in_words(quality.drop)
            for recall in quality.recalls:
                lost += f", with a recall of {recall.label} of {recall_in_words(recall)},"
            raise DifferentAnswersError(
                f"{self.export.model}: exported in {self.export.precision} {lost} on {texts:,} {unit}, which "
                "the budget does not allow; take another `precision`"
            )
        if quality.drop is None:
            return record
        said = [f"{drop_in_words(quality.drop)} on {texts:,} {unit}"]
        if decision == "doubtful":
            beyond = self.budget.interval_reaches_beyond(quality)
            said.append("kept as measured: the interval goes beyond the budget" if beyond else _NOT_CERTAIN)
        if record.back:
            said.append(
                f"which layers go back was chosen by the same {unit}, so that others may lose a little more; "
                "compare on those with prensa evaluate"
            )
        said += warnings_of(quality, self.budget)
        return dataclasses.replace(record, drop=quality.drop.value, said=tuple(said))
