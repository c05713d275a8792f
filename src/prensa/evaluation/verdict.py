"""One sentence that says what was won and what was lost, and whether the budget was held, with its doubts."""

from __future__ import annotations

from prensa.evaluation.decision import is_within, texts_needed
from prensa.evaluation.original import SAME_TO_ALL
from prensa.evaluation.results import (
    BITS,
    CHANGED,
    DISTANCE,
    Data,
    Drop,
    Evaluation,
    Figure,
    Guessing,
    Model,
    Quality,
)
from prensa.evaluation.speed import ratio, typical
from prensa.wording import megabytes, number, percent


def verdict(evaluation: Evaluation, result: Model) -> str:
    """Return the sentence for one result: bytes, times faster, drop and its interval, budget."""
    text = f"{_size(evaluation.original, result)}, {_speed(evaluation, result)}"
    end = _budget(evaluation, result)
    return f"{result.name} {text}, and {_quality(evaluation, result)}{end}."


def _size(original: Model, result: Model) -> str:
    before, after = original.weight_bytes, result.weight_bytes
    return f"takes {megabytes(after)}, {percent(after, before)} of the original's {megabytes(before)}"


def _speed(evaluation: Evaluation, result: Model) -> str:
    middle = evaluation.data.quartiles[2]
    before, after = (typical(each.timings, middle) for each in (evaluation.original, result))
    if before is None or after is None:
        return "was not timed"
    found = ratio(before, after)
    spread = f"{found.low:.2f} to {found.high:.2f}"
    return f"answers {found.median:.2f} times as fast (one text of {before.tokens} tokens; {spread})"


def _quality(evaluation: Evaluation, result: Model) -> str:
    quality = result.quality
    if quality is None:
        return "was not compared for quality"
    texts = _texts(evaluation.data)
    if quality.broken:
        return f"gives no number (NaN or infinity) on {quality.broken:,} of {texts}: it cannot be used"
    if quality.drop is None:
        return f"could not be judged on {texts}"
    same = f", with {agreement_in_words(quality.agreement)}," if _needs_agreement(quality) else ""
    return f"{drop_in_words(quality.drop)}{same} on {texts}"


def _needs_agreement(quality: Quality) -> bool:
    return quality.is_of_a_score and quality.agreement is not None


def drop_in_words(drop: Drop) -> str:
    """``accuracy drops by 0.03 points (95 % interval −0.05 to 0.10)``."""
    size = number(abs(100 * drop.value))
    if drop.of == CHANGED:
        return f"changes {size} % of the answers ({_interval(drop)} %)"
    if drop.of == DISTANCE:
        return f"turns vectors by {size} % (1 − cosine; {_interval(drop)} %)"
    if drop.of == BITS:
        verb = "rises" if drop.value >= 0 else "falls"
        return f"its cost in {BITS} {verb} by {size} % ({_interval(drop, ' of the rise')} %)"
    if not float(size):
        return f"its {drop.of} stays as it was ({_interval(drop, ' of the drop')} points)"
    if drop.value < 0:
        return f"its {drop.of} rises by {size} points ({_interval(drop, ' of the drop')})"
    return f"its {drop.of} drops by {size} points ({_interval(drop)})"


def _interval(drop: Drop, of: str = "") -> str:
    if drop.interval is None:
        return "95 % interval not known"
    low, high = (number(100 * end) for end in drop.interval)
    return f"95 % interval{of} {low} to {high}"


def _texts(data: Data) -> str:
    if data.is_smoke_test:
        return f"{data.measured:,} built-in texts (a smoke test, not an accuracy figure)"
    return f"{data.measured:,} texts of {data.name}"


def agreement_in_words(agreement: Figure | None) -> str:
    """Say how many answers are the original's, empty where answers are no choices.

    ``the original's answer on 98.90 % (95 % interval 98.46 to 99.25)``.
    """
    if agreement is None:
        return ""
    text = f"the original's answer on {number(100 * agreement.value)} %"
    if agreement.interval is None:
        return text
    low, high = (number(100 * end) for end in agreement.interval)
    return f"{text} (95 % interval {low} to {high})"


def _budget(evaluation: Evaluation, result: Model) -> str:
    allowed, quality = evaluation.settings.max_drop, result.quality
    if allowed is None:
        return ""
    name = f"the budget of {number(100 * allowed)} points"
    decision = evaluation.budget(result)
    if decision == "unknown":
        reason = f": {SAME_TO_ALL}" if quality and quality.alike == "constant" else ""
        return f"; whether {name} was held is not known{reason}"
    if decision == "held":
        return f"; {name} was held"
    if decision == "undecided":
        assert quality is not None  # noqa: S101  there is an interval
        return f"; {name} is NOT decided: {too_few(quality, allowed, evaluation.data.measured)}"
    if decision == "exceeded":
        return f"; {name} was NOT held"
    reasons = _doubts(quality, allowed) if quality else []
    return f"; {name} was held, but not for certain: {'; '.join(reasons)}"


def too_few(quality: Quality, allowed: float, texts: int) -> str:
    """Say why a drop's interval decides nothing, and about how many texts would."""
    assert quality.drop is not None  # noqa: S101
    assert quality.drop.interval is not None  # noqa: S101
    return how_many(quality.drop.interval, allowed, texts, none_changed=_has_none_changed(quality))


def how_many(interval: tuple[float, float], allowed: float, texts: int, *, none_changed: bool) -> str:
    """Say that an interval is too wide, and about how many texts make one that decides."""
    needed = texts_needed(texts, interval, allowed, none_changed=none_changed)
    return (
        f"the 95 % interval is wider than twice the budget on {texts:,} texts; about {needed:,} texts would "
        "decide it"
    )


def _has_none_changed(quality: Quality) -> bool:
    return quality.agreement is not None and quality.agreement.value == 1


def _doubts(quality: Quality, allowed: float) -> list[str]:
    drop = quality.drop
    found = []
    if drop is None or drop.interval is None:
        found.append("there is no interval")
    elif not is_within(drop.interval[1], allowed):
        found.append("the interval goes beyond it")
    return found + [f"{reason}; --label-column '' judges the answers alone" for reason in few_same(quality)]


def few_same(quality: Quality) -> list[str]:
    """Say that a score stayed although many answers did not; empty where they did."""
    if not quality.has_few_same or quality.agreement is None:
        return []
    same = f"only {number(100 * quality.agreement.value)} % of the answers are the original's"
    guesses = "" if quality.guessing is None else f", and {guessing_in_words(quality.guessing)}"
    return [f"{same}{guesses}"]


def guessing_in_words(guessing: Guessing) -> str:
    """Say how often the original is right, and how often it would be by chance."""
    return (
        "the original does no better than guessing on these labels (right: "
        f"{number(100 * guessing.accuracy)} %; with its answers shuffled {number(100 * guessing.shuffled)} %)"
    )
