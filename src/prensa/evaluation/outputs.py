"""What two models answer to the same texts: all that a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from prensa.checkpoint.kinds import Task
from prensa.evaluation.label_thresholds import Thresholds
from prensa.evaluation.predict import Output
from prensa.evaluation.terms import Terms
from prensa.texts.columns import Texts


@dataclass(frozen=True)
class Outputs:
    """What two models make of the same texts.

    ``places`` are, for models of words, the positions of each word's first token in its text. ``terms`` are
    what the result is judged by, where that is not what is usual. ``chosen`` are thresholds that were chosen
    on other texts, for the original and for the result.
    """

    task: Task
    texts: Texts
    places: Sequence[Sequence[int]]
    original: Sequence[Output]
    result: Sequence[Output]
    terms: Terms = field(default_factory=Terms)
    chosen: tuple[Thresholds, Thresholds] = ({}, {})

    @property
    def thresholds(self) -> tuple[Thresholds, Thresholds]:
        """The thresholds of the original and of the result: those that are given, and those chosen."""
        of_original, of_result = self.chosen
        return {**self.terms.thresholds, **of_original}, {**self.terms.thresholds, **of_result}

    def take(self, indices: Sequence[int]) -> Outputs:
        """Return the outputs for some of the texts."""
        places: list[Sequence[int]] = []
        if self.places:
            places = [self.places[index] for index in indices]
        return replace(
            self,
            texts=self.texts.take(indices),
            places=places,
            original=[self.original[index] for index in indices],
            result=[self.result[index] for index in indices],
        )
