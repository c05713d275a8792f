"""One result on the way to a budget."""

from __future__ import annotations

from dataclasses import dataclass

from prensa.evaluation.figures import ChosenThreshold, Quality, Recall


@dataclass(frozen=True)
class Trial:
    """A noise, and what came of it: bytes of the weight files, and quality on the search's texts, if any.

    ``drop`` and ``agreement`` are shares. ``drop_of`` names the score that ``drop`` is of,
    ``agreement_interval`` is the 95 % interval of ``agreement``. ``recalls`` are those of the labels that
    have to be found, and ``thresholds`` those that were chosen for both models.
    """

    noise: float
    nbytes: int
    drop: float | None = None
    agreement: float | None = None
    drop_of: str = ""
    agreement_interval: tuple[float, float] | None = None
    recalls: tuple[Recall, ...] = ()
    thresholds: tuple[ChosenThreshold, ...] = ()

    @classmethod
    def of(cls, noise: float, nbytes: int, quality: Quality) -> Trial:
        """Keep what a search needs of a comparison."""
        drop = None
        drop_of = ""
        if quality.drop is not None:
            drop = quality.drop.value
            drop_of = quality.drop.of
        agreement = None
        interval = None
        if quality.agreement is not None:
            agreement = quality.agreement.value
            interval = quality.agreement.interval
        return cls(noise, nbytes, drop, agreement, drop_of, interval, quality.recalls, quality.thresholds)
