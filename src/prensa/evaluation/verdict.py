"""One sentence that says what was won and what was lost, and whether the budget was held."""

from __future__ import annotations

from prensa.evaluation.results import BITS, CHANGED, DISTANCE, Data, Drop, Evaluation, Model
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
    return f"{drop_in_words(quality.drop)} on {texts}"


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


def _budget(evaluation: Evaluation, result: Model) -> str:
    allowed = evaluation.settings.max_drop
    if allowed is None:
        return ""
    name = f"the budget of {number(100 * allowed)} points"
    drop = result.quality.drop if result.quality else None
    doubt = "the interval goes beyond it" if drop and drop.interval else "there is no interval"
    return {
        "held": f"; {name} was held",
        "doubtful": f"; {name} was held, but not for certain: {doubt}",
        "exceeded": f"; {name} was NOT held",
        "unknown": f"; whether {name} was held is not known",
    }[evaluation.budget(result)]
