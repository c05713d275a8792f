"""What a result may cost in quality or bytes, and the one function that decides whether it keeps to that.

Searches, evaluations and exports all ask :meth:`Budget.decide` (with intervals) or :meth:`Budget.allows` (as
measured, while a search still looks around). The tolerance is that of :mod:`prensa.evaluation.decision`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.amounts import bytes_of
from prensa.errors import DataError, SettingError
from prensa.evaluation.decision import DECISIONS, Decision, decide, is_within, texts_needed
from prensa.evaluation.figures import CHANGED, Drop, Figure, Quality, Recall
from prensa.texts.names import split_names
from prensa.texts.source import Source
from prensa.wording import megabytes, number

_MISSED = "missed"  # the share of what has a label that is not given it: a drop of recall from 100 %
_SIZES = "12%, 20MB or bytes"

AUTO = "auto"
"""The threshold of a label where it is chosen, for each model."""


OfLabels = Mapping[str, float | str] | str
"""Shares of labels: a dict, or ``"toxic=99%,insult=95%"``."""


@dataclass(frozen=True)
class Budget:
    """What results must hold to, and what they are judged by. What is None does not matter.

    ``max_drop`` is the largest drop of ``metric`` (without one, of what is usual for the task), and
    ``min_agreement`` the least share of answers that stay the same: numbers from 0 to 1, or words as
    ``"1%"``. ``min_recall`` is how much of what has a label the result must find, a dict of shares or
    ``"toxic=99%"``. ``max_size`` is a number of bytes, ``"20MB"``, or a share of the original's weight files
    as ``"12%"``.

    ``on`` are the texts that results are judged by, and ``label_threshold`` the probabilities from which on
    labels are given, a dict or ``"toxic=0.7"``; for ``"toxic=auto"`` it is chosen for each model, and for
    ``"auto"`` that of every label.

    Raises :class:`SettingError` for what is out of range.
    """

    max_drop: float | str | None = None
    min_agreement: float | str | None = None
    max_size: int | str | None = None
    on: Source | str | Path | None = None
    metric: str | None = None
    min_recall: OfLabels | None = None
    label_threshold: OfLabels | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        share_of("max_drop", self.max_drop)
        share_of("min_agreement", self.min_agreement)
        shares_of("min_recall", self.min_recall)
        thresholds_of(self.label_threshold)
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
    def recalls_needed(self) -> dict[str, float]:
        """``min_recall`` as shares, by label."""
        return shares_of("min_recall", self.min_recall)

    @property
    def thresholds(self) -> dict[str, float]:
        """``label_threshold`` as numbers, by label, without those that are chosen."""
        given, _ = thresholds_of(self.label_threshold)
        return given

    @property
    def to_choose(self) -> tuple[str, ...]:
        """The labels whose thresholds are chosen; an empty name stands for every label that has none."""
        _, to_choose = thresholds_of(self.label_threshold)
        return to_choose

    @property
    def is_given(self) -> bool:
        """Whether anything has to hold."""
        return self.is_of_quality or self.max_size is not None

    @property
    def is_of_quality(self) -> bool:
        """Whether results must be evaluated to know."""
        return self.max_drop is not None or self.min_agreement is not None or bool(self.recalls_needed)

    def check_together(self) -> None:
        """Raise :class:`SettingError` for a metric without the drop that it is of."""
        if self.metric is not None and self.max_drop is None:
            raise SettingError("`metric` is what `max_drop` is a drop of: give `max_drop`, or leave it out")
        if self.label_threshold is not None and not self.is_of_quality:
            raise SettingError("`label_threshold` needs a budget of quality (`max_drop`, `min_recall` …)")

    def max_bytes(self, of: int) -> int | None:
        """Return the most bytes of the weight files of a model that had ``of`` bytes."""
        if self.max_size is None:
            return None
        return _as_bytes(self.max_size, of)

    def allows(self, drop: float | None, agreement: float | None, recalls: Sequence[Recall] = ()) -> bool:
        """Whether numbers as measured keep to the budget; what was not measured does not."""
        if self.drop_allowed is not None:
            if drop is None or not is_within(drop, self.drop_allowed):
                return False
        if self.agreement_needed is not None:
            if agreement is None or not is_within(1 - agreement, 1 - self.agreement_needed):
                return False
        for missed, allowed in self._missed(recalls):
            if missed is None or not is_within(missed.value, allowed):
                return False
        return True

    def allows_size(self, nbytes: int, of: int) -> bool:
        """Whether weight files of ``nbytes`` are small enough for a model that had ``of`` bytes."""
        most = self.max_bytes(of)
        return most is None or nbytes <= most

    def decide(self, quality: Quality | None) -> Decision:
        """Decide on the part on quality; the worst of its parts counts.

        A result that gives no number anywhere exceeds any budget. What was not measured, and what was
        measured against an original that answers every text alike, is not known. Where the score stayed
        although many answers changed, or could not drop by more than is allowed, nothing is held for certain.
        """
        if not self.is_of_quality:
            return "none"
        if quality is not None and quality.broken:
            return "exceeded"
        if quality is None or quality.alike == "constant":
            return "unknown"
        decisions: list[Decision] = []
        for drop, allowed in self._parts(quality):
            if drop is None:
                decisions.append("unknown")
                continue
            decision = decide(drop.value, drop.interval, allowed)
            # What is found is found: recall is not a score that other answers could have kept up.
            if decision == "held" and drop.of not in {CHANGED, _MISSED}:
                if quality.has_few_same or quality.has_less_than(allowed):
                    decision = "doubtful"
            decisions.append(decision)
        return max(decisions, key=DECISIONS.index)

    def interval_reaches_beyond(self, quality: Quality) -> bool:
        """Whether an interval reaches beyond what is allowed of what it is of."""
        for drop, allowed in self._parts(quality):
            if drop is not None and drop.interval is not None and not is_within(drop.interval[1], allowed):
                return True
        return False

    def check_reachable(self, own: Quality, original: Path) -> None:
        """Raise :class:`DataError` where not even the original keeps to what must be found.

        ``own`` is the original compared with itself.
        """
        recalls = {recall.label: recall.value for recall in own.recalls}
        for label, needed in self.recalls_needed.items():
            value = recalls.get(label)
            if value is not None and not is_within(needed, value):
                raise DataError(
                    f"{original}: the original's own recall of {label} is {number(100 * value)} % on "
                    f"these texts, below the {number(100 * needed)} % of `min_recall`, so that no result is "
                    "likely to reach it"
                )

    def texts_needed(self, quality: Quality, texts: int) -> int | None:
        """Return about how many texts, or queries, decide where ``texts`` did not, None where they did."""
        texts = quality.queries or texts
        needed: list[int] = []
        for drop, allowed in self._parts(quality):
            if drop is None or drop.interval is None:
                continue
            if decide(drop.value, drop.interval, allowed) == "undecided":
                needed.append(texts_needed(texts, drop.interval, allowed, none_changed=drop.none_changed))
        return max(needed, default=None)

    def _parts(self, quality: Quality) -> Sequence[tuple[Drop | None, float]]:
        """List what was measured with what is allowed of it: an agreement is a drop of the same answers."""
        parts: list[tuple[Drop | None, float]] = []
        if self.drop_allowed is not None:
            parts.append((quality.drop, self.drop_allowed))
        if self.agreement_needed is not None:
            parts.append((_as_drop(quality.agreement), 1 - self.agreement_needed))
        return [*parts, *self._missed(quality.recalls)]

    def _missed(self, recalls: Sequence[Recall]) -> list[tuple[Drop | None, float]]:
        """List what is missed of each label that has to be found, with what may be."""
        by_label = {recall.label: recall for recall in recalls}
        parts: list[tuple[Drop | None, float]] = []
        for label, needed in self.recalls_needed.items():
            parts.append((_as_missed(by_label.get(label)), 1 - needed))
        return parts

    def describe(self, of: int) -> str:
        """Say it in words, for an original of ``of`` bytes: ``a drop of at most 1.00 points``."""
        parts = []
        if self.drop_allowed is not None:
            of_metric = "" if self.metric is None else f" in {self.metric}"
            parts.append(f"a drop{of_metric} of at most {number(100 * self.drop_allowed)} points")
        if self.agreement_needed is not None:
            parts.append(f"the same answer on at least {number(100 * self.agreement_needed)} %")
        for label, needed in self.recalls_needed.items():
            parts.append(f"a recall of {label} of at least {number(100 * needed)} %")
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
    return Drop(CHANGED, changed, (1 - high, 1 - low), none_changed=changed == 0)


def _as_missed(recall: Recall | None) -> Drop | None:
    """Return the share of what has a label that was not found, with its interval."""
    if recall is None or recall.value is None:
        return None
    if recall.interval is None:
        return Drop(_MISSED, 1 - recall.value, None)
    low, high = recall.interval
    missed = 1 - recall.value
    return Drop(_MISSED, missed, (1 - high, 1 - low), none_changed=missed == 0)


def shares_of(name: str, values: OfLabels | None) -> dict[str, float]:
    """Return ``"toxic=99%,insult=0.9"``, or a dict, as numbers by label.

    Raises :class:`SettingError` for anything else, and for a label that is named twice.
    """
    return _numbers(name, _pairs_of(values), values)


def thresholds_of(values: OfLabels | None) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return thresholds that are given, by label, and the labels whose thresholds are chosen.

    Of those an empty name stands for every label. Raises as :func:`shares_of`.
    """
    given: list[tuple[str, float | str]] = []
    to_choose: list[str] = []
    for label, value in _pairs_of(values):
        if str(value).strip().casefold() == AUTO:
            to_choose.append(label)
        else:
            given.append((label, value))
    shares = _numbers("label_threshold", given, values)
    for label in to_choose:
        if label in shares or to_choose.count(label) > 1:
            raise SettingError(f"`label_threshold`: {label or AUTO} is named twice")
    return shares, tuple(to_choose)


def _pairs_of(values: OfLabels | None) -> list[tuple[str, float | str]]:
    """List names with their values; what has no equals sign has an empty name."""
    if values is None:
        return []
    if not isinstance(values, str):
        return list(values.items())
    pairs: list[tuple[str, float | str]] = []
    for pair in split_names(values):
        # The last equals sign: labels may hold others.
        label, _, value = pair.rpartition("=")
        pairs.append((label.strip(), value.strip()))
    if not pairs:
        # As from a variable of a shell that is empty: it would be taken for no condition at all.
        pairs.append(("", ""))
    return pairs


def _numbers(name: str, pairs: Sequence[tuple[str, float | str]], found: object) -> dict[str, float]:
    shares: dict[str, float] = {}
    for label, value in pairs:
        if not label:
            raise SettingError(
                f"`{name}`: expected LABEL=SHARE with commas between, as toxic=0.9, found {found!r}"
            )
        if label in shares:
            raise SettingError(f"`{name}`: {label} is named twice, as {shares[label]:g} and as {value}")
        shares[label] = _checked_share(name, value)
    return shares


def share_of(name: str, value: float | str | None) -> float | None:
    """Return ``"1%"`` and ``0.01`` as the same number. Raises :class:`SettingError` for anything else."""
    if value is None:
        return None
    return _checked_share(name, value)


def _checked_share(name: str, value: float | str) -> float:
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
    text = str(size).strip()
    if not text.endswith("%"):
        return bytes_of(size, "max_size", _SIZES)
    share = _as_number("max_size", text, _SIZES)
    try:
        return int(share * of)
    except (OverflowError, ValueError):  # infinity, NaN
        raise SettingError(f"`max_size`: expected {_SIZES}, found {size!r}") from None
