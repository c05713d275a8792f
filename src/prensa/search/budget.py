"""What a result may cost, in quality or in bytes."""

from __future__ import annotations

from dataclasses import dataclass

from prensa.errors import RecipeError, check_share
from prensa.evaluation.decision import DECISIONS, Decision, decide, is_within, texts_needed
from prensa.evaluation.results import CHANGED, Drop, Figure, Quality
from prensa.wording import megabytes, number

NO_NOISE = "a budget is kept by calibrated pressing; take the preset small, or a recipe with a pass gptq"
"""What is said of a recipe that has nothing to search."""


@dataclass(frozen=True)
class Trial:
    """One result on the way. ``drop`` and ``agreement`` are shares on the search's texts, where it has any.

    ``drop_of`` names the score that ``drop`` is of, ``agreement_interval`` is the 95 % interval of
    ``agreement``.
    """

    noise: float
    nbytes: int
    drop: float | None = None
    agreement: float | None = None
    drop_of: str = ""
    agreement_interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, noise: float, nbytes: int, quality: Quality) -> Trial:
        """Keep what the search needs of a comparison."""
        drop, same = quality.drop, quality.agreement
        return cls(
            noise,
            nbytes,
            drop.value if drop else None,
            same.value if same else None,
            drop.of if drop else "",
            same.interval if same else None,
        )


@dataclass(frozen=True)
class Budget:
    """The largest drop and the least agreement, as shares, and the most bytes of the weight files.

    What is None does not matter. Raises :class:`RecipeError` for shares out of range.
    """

    max_drop: float | None = None
    min_agreement: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges, and that there is any."""
        if self.max_drop is None and self.min_agreement is None and self.max_bytes is None:
            raise RecipeError("no budget was given; say how much quality or how many bytes")
        check_share("--max-drop", self.max_drop, RecipeError)
        check_share("--min-agreement", self.min_agreement, RecipeError)
        if self.max_bytes is not None and self.max_bytes < 1:
            raise RecipeError(f"--max-size must be above 0, found {self.max_bytes} bytes")

    @property
    def is_of_quality(self) -> bool:
        """Whether results must be evaluated to know."""
        return self.max_drop is not None or self.min_agreement is not None

    def allows(self, trial: Trial) -> bool:
        """Whether a trial keeps the budget's part on quality, or on bytes where that is all there is."""
        if not self.is_of_quality:
            return self.max_bytes is None or trial.nbytes <= self.max_bytes
        is_near = self.max_drop is None or (trial.drop is not None and is_within(trial.drop, self.max_drop))
        agrees = self.min_agreement is None or (
            trial.agreement is not None and is_within(1 - trial.agreement, 1 - self.min_agreement)
        )
        return is_near and agrees

    def decide(self, drop: Drop | None, agreement: Figure | None) -> Decision:
        """Decide on the part on quality, with intervals; the worse of its two halves counts.

        What was not measured exceeds any budget of it.
        """
        found = [
            "exceeded" if drop is None else decide(drop.value, drop.interval, allowed)
            for drop, allowed in self._halves(drop, agreement)
        ]
        return max(found, key=DECISIONS.index, default="held")

    def texts_needed(self, quality: Quality, texts: int) -> int | None:
        """Return about how many texts decide where ``texts`` did not, None where they did."""
        same = quality.agreement
        needed = [
            texts_needed(texts, drop.interval, allowed, none_changed=same is not None and same.value == 1)
            for drop, allowed in self._halves(quality.drop, same)
            if drop and drop.interval and decide(drop.value, drop.interval, allowed) == "undecided"
        ]
        return max(needed, default=None)

    def _halves(self, drop: Drop | None, agreement: Figure | None) -> list[tuple[Drop | None, float]]:
        """List what was measured with what is allowed of it: an agreement is a drop of the same answers."""
        halves = [] if self.max_drop is None else [(drop, self.max_drop)]
        if self.min_agreement is None:
            return halves
        if agreement is None:
            return [*halves, (None, 0.0)]
        interval = agreement.interval and (1 - agreement.interval[1], 1 - agreement.interval[0])
        return [*halves, (Drop(CHANGED, 1 - agreement.value, interval), 1 - self.min_agreement)]

    def allows_size(self, trial: Trial) -> bool:
        """Whether a trial is small enough."""
        return self.max_bytes is None or trial.nbytes <= self.max_bytes

    def describe(self) -> str:
        """Say it in words: ``a drop of at most 1.00 points, 20.00 MB at most``."""
        parts = []
        if self.max_drop is not None:
            parts.append(f"a drop of at most {number(100 * self.max_drop)} points")
        if self.min_agreement is not None:
            parts.append(f"the same answer on at least {number(100 * self.min_agreement)} %")
        if self.max_bytes is not None:
            parts.append(f"{megabytes(self.max_bytes)} at most")
        return ", ".join(parts)
