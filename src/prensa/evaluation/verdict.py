"""One sentence that says what was won and what was lost, and whether the budget was held, with its doubts."""

from __future__ import annotations

from collections.abc import Sequence

from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import Decision, is_within, texts_needed
from prensa.evaluation.figures import (
    BITS,
    CHANGED,
    DISTANCE,
    ChosenThreshold,
    Drop,
    Figure,
    Guessing,
    Quality,
    Recall,
    in_words,
    is_of_rankings,
)
from prensa.evaluation.neighbours import count_in
from prensa.evaluation.original import SAME_TO_ALL
from prensa.evaluation.results import Data, Evaluation, Model
from prensa.evaluation.speed import ratio, typical
from prensa.wording import megabytes, number, percent

# Thresholds that a sentence names.
_NAMED = 3
_OF_RECALL: dict[Decision, str] = {
    "held": "was held",
    "doubtful": "was held, but not for certain",
    "undecided": "is NOT decided",
    "exceeded": "was NOT held",
}


def verdict(evaluation: Evaluation, result: Model) -> str:
    """Return the sentence for one result: bytes, times faster, drop and its interval, budget."""
    size = _size(evaluation.original, result)
    speed = _speed(evaluation, result)
    quality = _quality(evaluation, result)
    budget = _budget(evaluation, result)
    recalls = _recalls(evaluation, result)
    return f"{result.name} {size}, {speed}, and {quality}{budget}{recalls}."


def _size(original: Model, result: Model) -> str:
    before = original.weight_bytes
    after = result.weight_bytes
    return f"takes {megabytes(after)}, {percent(after, before)} of the original's {megabytes(before)}"


def _speed(evaluation: Evaluation, result: Model) -> str:
    # Of several lengths the one that is nearest to the median text is quoted.
    _, _, middle, *_ = evaluation.data.quartiles
    before = typical(evaluation.original.timings, middle)
    after = typical(result.timings, middle)
    if before is None or after is None:
        return "was not timed"
    speed = ratio(before, after)
    spread = f"{speed.low:.2f} to {speed.high:.2f}"
    return f"answers {speed.median:.2f} times as fast (one text of {before.tokens} tokens; {spread})"


def _quality(evaluation: Evaluation, result: Model) -> str:
    quality = result.quality
    if quality is None:
        return "was not compared for quality"
    texts = _texts(evaluation.data, quality)
    if quality.broken:
        return f"gives no number (NaN or infinity) on {quality.broken:,} of {texts}: it cannot be used"
    if quality.drop is None:
        return f"could not be judged on {texts}"
    text = drop_in_words(quality.drop)
    # A score may stay as it was although the answers are others: only the agreement shows that.
    if quality.is_of_a_score and quality.agreement is not None:
        text += f", with {agreement_in_words(quality.agreement)},"
    if quality.judged is None:
        return f"{text} on {texts}"
    return f"{text} on {quality.judged:,} of {texts} ({thresholds_in_words(quality.thresholds)})"


def thresholds_in_words(thresholds: Sequence[ChosenThreshold]) -> str:
    """``thresholds chosen on the other half: toxic 0.41, the original's 0.44``."""
    if len(thresholds) > _NAMED:
        return f"thresholds of {len(thresholds)} labels were chosen on the other half"
    named: list[str] = []
    for each in thresholds:
        named.append(f"{each.label} {each.result:.4g}, the original's {each.original:.4g}")
    return f"thresholds chosen on the other half: {'; '.join(named)}"


def drop_in_words(drop: Drop) -> str:
    """``accuracy drops by 0.03 points (95 % interval −0.05 to 0.10)``."""
    size = number(abs(100 * drop.value))
    name = in_words(drop.of)
    nearest = count_in(drop.of)
    if drop.of == CHANGED or nearest:
        what = f"the {nearest:,} texts nearest to each" if nearest else "the answers"
        return f"changes {size} % of {what} ({_interval(drop)} %)"
    if drop.of == DISTANCE:
        return f"turns vectors by {size} % (1 − cosine; {_interval(drop)} %)"
    if drop.of == BITS:
        verb = "falls"
        if drop.value >= 0:
            verb = "rises"
        return f"its cost in {BITS} {verb} by {size} % ({_interval(drop, ' of the rise')} %)"
    # What rounds to zero has no direction.
    if not float(size):
        return f"its {name} stays as it was ({_interval(drop, ' of the drop')} points)"
    if drop.value < 0:
        return f"its {name} rises by {size} points ({_interval(drop, ' of the drop')})"
    return f"its {name} drops by {size} points ({_interval(drop)})"


def _interval(drop: Drop, of: str = "") -> str:
    if drop.interval is None:
        return "95 % interval not known"
    return f"95 % interval{of} {range_in_words(drop.interval)}"


def range_in_words(interval: tuple[float, float]) -> str:
    """``(-0.0005, 0.001)`` → ``"−0.05 to 0.10"``: the ends of an interval of shares, in hundredths."""
    low, high = interval
    return f"{number(100 * low)} to {number(100 * high)}"


def _texts(data: Data, quality: Quality) -> str:
    if quality.queries:
        return f"{quality.queries:,} queries of {data.name}"
    if data.is_smoke_test:
        return f"{data.measured:,} built-in texts (a smoke test, not an accuracy figure)"
    return f"{data.measured:,} texts of {data.name}"


def agreement_in_words(agreement: Figure | None) -> str:
    """Word how many answers are the original's, empty if answers are no choices.

    ``the original's answer on 98.90 % (95 % interval 98.46 to 99.25)``.
    """
    if agreement is None:
        return ""
    text = f"the original's answer on {number(100 * agreement.value)} %"
    if agreement.interval is None:
        return text
    return f"{text} (95 % interval {range_in_words(agreement.interval)})"


def _budget(evaluation: Evaluation, result: Model) -> str:
    allowed = evaluation.settings.max_drop
    quality = result.quality
    if allowed is None:
        return ""
    name = f"the budget of {number(100 * allowed)} points"
    decision = Budget(max_drop=allowed).decide(quality)
    if quality is None or decision == "unknown":
        reason = ""
        if quality is not None and quality.alike == "constant":
            reason = f": {SAME_TO_ALL}"
        return f"; whether {name} was held is not known{reason}"
    if decision == "held":
        return f"; {name} was held"
    if decision == "undecided":
        return f"; {name} is NOT decided: {too_few(quality, allowed, evaluation.data.measured)}"
    if decision == "exceeded":
        return f"; {name} was NOT held"
    reasons = "; ".join(_doubts(quality, allowed))
    return f"; {name} was held, but not for certain: {reasons}"


def _recalls(evaluation: Evaluation, result: Model) -> str:
    """Say of each label that has to be found how much of it is, and whether that is enough."""
    by_label: dict[str, Recall] = {}
    if result.quality is not None:
        by_label = {recall.label: recall for recall in result.quality.recalls}
    text = ""
    for label, needed in (evaluation.settings.min_recall or {}).items():
        wanted = f"a recall of {label} of {number(100 * needed)} %"
        recall = by_label.get(label)
        if recall is None or recall.value is None:
            text += f"; whether {wanted} was held is not known"
            continue
        budget = Budget(min_recall={label: needed})
        outcome = _OF_RECALL.get(budget.decide(result.quality), "is not known")
        text += f"; {wanted} {outcome}: it is {recall_in_words(recall)}"
        more = None
        if result.quality is not None:
            more = budget.texts_needed(result.quality, evaluation.data.measured)
        if more is not None:
            text += f", and about {more:,} texts would decide it"
    return text


def recall_in_words(recall: Recall) -> str:
    """``98.20 % (95 % interval 97.10 to 99.00)``."""
    text = f"{number(100 * (recall.value or 0.0))} %"
    if recall.interval is None:
        return text
    return f"{text} (95 % interval {range_in_words(recall.interval)})"


def too_few(quality: Quality, allowed: float, texts: int) -> str:
    """Explain why a drop's interval decides nothing, and about how many texts would.

    Raises :class:`ValueError` for a drop without an interval, which is never undecided.
    """
    if quality.drop is None or quality.drop.interval is None:
        raise ValueError("a drop without an interval is not undecided")
    count = quality.queries or texts
    return how_many(
        quality.drop.interval,
        allowed,
        count,
        none_changed=quality.drop.none_changed,
        unit=unit_of(quality.drop.of),
    )


def how_many(
    interval: tuple[float, float], allowed: float, texts: int, *, none_changed: bool, unit: str = "texts"
) -> str:
    """Explain that an interval is too wide, and about how many of a ``unit`` make one that decides."""
    needed = texts_needed(texts, interval, allowed, none_changed=none_changed)
    return (
        f"the 95 % interval is wider than twice the budget on {texts:,} {unit}; about {needed:,} {unit} "
        "would decide it"
    )


def unit_of(metric: str) -> str:
    """Name what a drop is computed on, and its interval drawn from: texts, or queries with their passages."""
    return "queries" if is_of_rankings(metric) else "texts"


def _doubts(quality: Quality, allowed: float) -> list[str]:
    drop = quality.drop
    reasons = []
    if drop is None or drop.interval is None:
        reasons.append("there is no interval")
    else:
        _, high = drop.interval
        if not is_within(high, allowed):
            reasons.append("the interval goes beyond it")
    reasons += [f"{few}; an empty label_column judges the answers alone" for few in few_same(quality)]
    return [*reasons, *little_to_lose(quality, allowed)]


def little_to_lose(quality: Quality, allowed: float) -> list[str]:
    """Explain that no result could drop by more than is allowed; empty if one could."""
    if quality.drop is None or not quality.has_less_than(allowed):
        return []
    name = in_words(quality.drop.of)
    return [f"the original's own {name} is no higher than the drop allowed, so that any result holds it"]


def few_same(quality: Quality) -> list[str]:
    """Explain that a score stayed although many answers did not; empty if they did."""
    if not quality.has_few_same or quality.agreement is None:
        return []
    share = number(100 * quality.agreement.value)
    text = f"only {share} % of the answers are the original's"
    if quality.guessing is not None:
        text += f", and {guessing_in_words(quality.guessing)}"
    return [text]


def guessing_in_words(guessing: Guessing) -> str:
    """Word how often the original is right, and how often it would be by chance."""
    right = number(100 * guessing.accuracy)
    by_chance = number(100 * guessing.shuffled)
    return (
        "the original does no better than guessing on these labels (right: "
        f"{right} %; with its answers shuffled {by_chance} %)"
    )
