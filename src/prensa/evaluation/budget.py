"""What a result may cost in quality or bytes, and the one function that decides whether it keeps to that.

Searches, evaluations and exports all ask :meth:`Budget.decide` (with intervals) or :meth:`Budget.allows` (as
measured, while a search still looks around). The tolerance is that of :mod:`prensa.evaluation.decision`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.errors import SettingError
from prensa.evaluation.decision import DECISIONS, Decision, decide, is_within, texts_needed
from prensa.evaluation.figures import CHANGED, Drop, Figure, Quality
from prensa.texts.source import Source
from prensa.wording import megabytes, number

_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}


@dataclass(frozen=True)
class Budget:
    """The largest drop and the least agreement, as shares, and the largest size of the weight files.

    ``max_drop`` and ``min_agreement`` are numbers from 0 to 1, or words as ``"1%"``. ``max_size`` is a number
    of bytes, ``"20MB"``, or a share of the original's weight files as ``"12%"``. What is None does not
    matter. ``on`` are the texts that results are judged by.

    Raises :class:`SettingError` for what is out of range.
    """

    max_drop: float | str | None = None
    min_agreement: float | str | None = None
    max_size: int | str | None = None
    on: Source | str | Path | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        share_of("max_drop", self.max_drop)
        share_of("min_agreement", self.min_agreement)
        # A share of the original is checked on one that is large enough for any sensible share of it.
        if self.max_size is not None and _as_bytes(self.max_size, of=10**12) < 1:
            raise SettingError(f"`max_size` must be above 0, found {self.max_size}")

    @property
    def drop_allowed(self) -> float | None:
        """``max_drop`` as a share."""
        return share_of("max_drop", self.max_drop)

    @property
    def agreement_needed(self) -> float | None:
        """``min_agreement`` as a share."""
        return share_of("min_agreement", self.min_agreement)

    @property
    def is_given(self) -> bool:
        """Whether anything has to hold."""
        return self.is_of_quality or self.max_size is not None

    @property
    def is_of_quality(self) -> bool:
        """Whether results must be evaluated to know."""
        return self.max_drop is not None or self.min_agreement is not None

    def max_bytes(self, of: int) -> int | None:
        """Return the most bytes of the weight files of a model that had ``of`` bytes."""
        if self.max_size is None:
            return None
        return _as_bytes(self.max_size, of)

    def allows(self, drop: float | None, agreement: float | None) -> bool:
        """Whether a drop and an agreement keep to the budget, as measured; what was not measured does not."""
        if self.drop_allowed is not None:
            if drop is None or not is_within(drop, self.drop_allowed):
                return False
        if self.agreement_needed is not None:
            if agreement is None or not is_within(1 - agreement, 1 - self.agreement_needed):
                return False
        return True

    def allows_size(self, nbytes: int, of: int) -> bool:
        """Whether weight files of ``nbytes`` are small enough for a model that had ``of`` bytes."""
        most = self.max_bytes(of)
        return most is None or nbytes <= most

    def decide(self, quality: Quality | None) -> Decision:
        """Decide on the part on quality; the worse of its two halves counts.

        A result that gives no number anywhere exceeds any budget. What was not measured, and what was
        measured against an original that answers every text alike, is not known. Where the score stayed
        although many answers changed, nothing is held for certain.
        """
        if not self.is_of_quality:
            return "none"
        if quality is not None and quality.broken:
            return "exceeded"
        if quality is None or quality.alike == "constant":
            return "unknown"
        decisions: list[Decision] = []
        for drop, allowed in self._halves(quality):
            if drop is None:
                decisions.append("unknown")
                continue
            decision = decide(drop.value, drop.interval, allowed)
            if decision == "held" and quality.has_few_same and drop.of != CHANGED:
                decision = "doubtful"
            decisions.append(decision)
        return max(decisions, key=DECISIONS.index)

    def texts_needed(self, quality: Quality, texts: int) -> int | None:
        """Return about how many texts decide where ``texts`` did not, None where they did."""
        none_changed = quality.agreement is not None and quality.agreement.value == 1
        needed: list[int] = []
        for drop, allowed in self._halves(quality):
            if drop is None or drop.interval is None:
                continue
            if decide(drop.value, drop.interval, allowed) == "undecided":
                needed.append(texts_needed(texts, drop.interval, allowed, none_changed=none_changed))
        return max(needed, default=None)

    def _halves(self, quality: Quality) -> Sequence[tuple[Drop | None, float]]:
        """List what was measured with what is allowed of it: an agreement is a drop of the same answers."""
        halves: list[tuple[Drop | None, float]] = []
        if self.drop_allowed is not None:
            halves.append((quality.drop, self.drop_allowed))
        if self.agreement_needed is not None:
            halves.append((_as_drop(quality.agreement), 1 - self.agreement_needed))
        return halves

    def describe(self, of: int) -> str:
        """Say it in words, for an original of ``of`` bytes: ``a drop of at most 1.00 points``."""
        parts = []
        if self.drop_allowed is not None:
            parts.append(f"a drop of at most {number(100 * self.drop_allowed)} points")
        if self.agreement_needed is not None:
            parts.append(f"the same answer on at least {number(100 * self.agreement_needed)} %")
        most = self.max_bytes(of)
        if most is not None:
            parts.append(f"{megabytes(most)} at most")
        return ", ".join(parts)


def _as_drop(agreement: Figure | None) -> Drop | None:
    """Return the share of answers that changed, with its interval."""
    if agreement is None:
        return None
    changed = 1 - agreement.value
    if agreement.interval is None:
        return Drop(CHANGED, changed, None)
    low, high = agreement.interval
    return Drop(CHANGED, changed, (1 - high, 1 - low))


def share_of(name: str, value: float | str | None) -> float | None:
    """Return ``"1%"`` and ``0.01`` as the same number. Raises :class:`SettingError` for anything else."""
    if value is None:
        return None
    share = _as_number(name, value, "a share such as 0.01 or 1%")
    if not 0 <= share <= 1:
        raise SettingError(f"`{name}` must be a share from 0 to 1 (0.01 or 1% is a point), found {value}")
    return share


def _as_number(name: str, value: float | str, expected: str) -> float:
    try:
        if isinstance(value, str) and value.endswith("%"):
            return float(value.removesuffix("%")) / 100
        return float(value)
    except (TypeError, ValueError):
        raise SettingError(f"`{name}`: expected {expected}, found {value!r}") from None


def _as_bytes(size: int | str, of: int) -> int:
    expected = "12%, 20MB or bytes"
    if isinstance(size, str):
        for unit, factor in _UNITS.items():
            if size.upper().endswith(unit):
                amount = _as_number("max_size", size[: -len(unit)], expected)
                return _whole(amount * factor, size)
        if size.endswith("%"):
            return _whole(_as_number("max_size", size, expected) * of, size)
    return _whole(_as_number("max_size", size, expected), size)


def _whole(nbytes: float, size: int | str) -> int:
    try:
        return int(nbytes)
    except (OverflowError, ValueError):  # infinity, NaN
        raise SettingError(f"`max_size`: expected 12%, 20MB or bytes, found {size!r}") from None
