"""One sentence that says what was won and what was lost, and whether the budget was held."""

from __future__ import annotations

from prensa.evaluation.classification import CHANGED
from prensa.evaluation.embeddings import DISTANCE
from prensa.evaluation.language import BITS
from prensa.evaluation.results import Data, Drop, Evaluation, Model
from prensa.evaluation.speed import ratio, typical
from prensa.wording import megabytes, number, percent


def verdict(evaluation: Evaluation, result: Model) -> str:
    """Return the sentence for one result: bytes, times faster, drop and its interval, budget."""
    parts = [_size(evaluation.original, result), _speed(evaluation.original, result)]
    text = ", ".join(part for part in parts if part)
    end = _budget(evaluation, result)
    return f"{result.name} {text}, and {_quality(evaluation, result)}{end}."


def _size(original: Model, result: Model) -> str:
    before, after = original.weight_bytes, result.weight_bytes
    return f"takes {megabytes(after)}, {percent(after, before)} of the original's {megabytes(before)}"


def _speed(original: Model, result: Model) -> str:
    before, after = typical(original.timings), typical(result.timings)
    if before is None or after is None:
        return "was not timed"
    found = ratio(before, after)
    return f"answers {found.median:.2f} times as fast ({found.low:.2f} to {found.high:.2f})"


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
    low, high = (number(100 * end) for end in drop.interval)
    size = number(abs(100 * drop.value))
    if drop.of == CHANGED:
        return f"changes {size} % of the answers (95 % interval {low} to {high} %)"
    if drop.of == DISTANCE:
        return f"turns vectors by {size} % (1 − cosine; 95 % interval {low} to {high} %)"
    if drop.of == BITS:
        verb = "rises" if drop.value >= 0 else "falls"
        return f"its cost in {BITS} {verb} by {size} % (95 % interval of the rise {low} to {high} %)"
    if not float(size):
        return f"its {drop.of} stays as it was (95 % interval of the drop {low} to {high} points)"
    if drop.value < 0:
        return f"its {drop.of} rises by {size} points (95 % interval of the drop {low} to {high})"
    return f"its {drop.of} drops by {size} points (95 % interval {low} to {high})"


def _texts(data: Data) -> str:
    if data.is_smoke_test:
        return f"{data.measured:,} built-in texts (a smoke test, not an accuracy figure)"
    return f"{data.measured:,} texts"


def _budget(evaluation: Evaluation, result: Model) -> str:
    allowed = evaluation.settings.max_drop
    if allowed is None:
        return ""
    name = f"the budget of {number(100 * allowed)} points"
    return {
        "held": f"; {name} was held",
        "doubtful": f"; {name} was held, but the interval reaches beyond it",
        "exceeded": f"; {name} was NOT held",
        "unknown": f"; whether {name} was held is not known",
    }[evaluation.budget(result)]
