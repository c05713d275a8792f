"""Choose from which margin on a small model's answers count before the original, on a user's texts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError, DifferentAnswersError
from prensa.evaluation.cascade_threshold import Choice, choose, times_as_fast
from prensa.evaluation.decision import Decision
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.original import check_finite, check_not_constant
from prensa.evaluation.predict import Output
from prensa.evaluation.quality import Outputs
from prensa.isolation import as_usual
from prensa.jobs.cascade_memory import Chosen
from prensa.progress import Progress
from prensa.serving.served import Served
from prensa.texts.columns import Texts
from prensa.wording import number

# Texts that one of the two answers before it is the other one's turn, so that both are timed alike.
_TURN = 100


@as_usual()
def choose_threshold(
    small: Served,
    original: Served,
    task: Task,
    texts: Texts,
    min_agreement: float,
    progress: Progress,
) -> Chosen:
    """Choose a threshold on one half of texts and confirm on the other that it keeps ``min_agreement``.

    Raises :class:`DifferentAnswersError` where no threshold is confirmed to keep the agreement, and
    :class:`DataError` where too few texts decide.
    """
    halves = halve_texts(texts)
    # No more than what the halves have room for are answered.
    used = texts.take(sorted([*halves.search, *halves.check]))
    answers, seconds = _answers([original, small], used, progress)
    where = Path(original.name_or_path)
    check_finite(where, answers[0])
    outputs = Outputs(task, used, [], answers[0], answers[1])
    choice, quality = choose(outputs, min_agreement)
    check_not_constant(where, quality)
    _check_kept(small.name_or_path, texts, choice)
    speed = times_as_fast(seconds[1], seconds[0], choice.passed_on)
    return Chosen(choice.threshold, account_of(choice, speed), pays=speed > 1)


def account_of(choice: Choice, speed: float) -> str:
    """Say in one line what a threshold does, and whether it pays."""
    passed_on = number(100 * choice.passed_on)
    same = number(100 * choice.agreement.value)
    alone = number(100 * choice.alone.value)
    line = (
        f"threshold {choice.threshold:g}: {passed_on} % of {choice.texts:,} texts that it was not chosen on "
        f"go on to the original, the same answer on {same} % ({alone} % without the original)"
    )
    if speed > 1:
        return f"{line}, about {speed:.2f} times as fast as the original alone"
    return (
        f"{line}. It does not pay: about {speed:.2f} times as fast as the original, which serves better alone"
    )


def _answers(
    models: Sequence[Served], texts: Texts, progress: Progress
) -> tuple[list[list[Output]], list[float]]:
    """Let models answer all texts in turns; return the outputs of each and its seconds for a text.

    Seconds are the median of the turns: the first one finds nothing warm.
    """
    given: list[object] = list(texts.texts)
    if texts.pairs:
        given = [(text, pair) if pair else text for text, pair in zip(texts.texts, texts.pairs, strict=True)]
    outputs: list[list[Output]] = [[] for _ in models]
    seconds: list[list[float]] = [[] for _ in models]
    for start in range(0, len(given), _TURN):
        turn = given[start : start + _TURN]
        for own_outputs, own_seconds, model in zip(outputs, seconds, models, strict=True):
            began = time.perf_counter()
            own_outputs.extend(answer.output for answer in model.attempted(turn))
            own_seconds.append((time.perf_counter() - began) / len(turn))
        progress(f"answering {len(given):,} texts", start + len(turn), len(given))
    return outputs, [median(own) for own in seconds]


def _check_kept(small: str, texts: Texts, choice: Choice) -> None:
    if choice.is_kept:
        return
    wanted = f"`min_agreement` of {number(100 * choice.min_agreement)} %"
    if choice.decision == "undecided":
        needed = ""
        if choice.texts_needed is not None:
            needed = f"; about {choice.texts_needed:,} decide"
        raise DataError(f"{texts.name}: {len(texts):,} texts are too few for a {wanted}{needed}")
    found: dict[Decision, str] = {"unknown": "nothing can be judged by these texts"}
    reason = found.get(choice.decision, f"{number(100 * choice.agreement.value)} % were the same")
    raise DifferentAnswersError(
        f"{small}: no threshold keeps a {wanted} on texts that it was not chosen on ({reason}); give more "
        "texts, or a lower one"
    )
