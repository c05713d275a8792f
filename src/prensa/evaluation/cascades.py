"""The stage of an evaluation that puts each result before the original, as a cascade."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Sequence

from prensa.evaluation import speed
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.cascade_threshold import choose
from prensa.evaluation.measure import Measured, Models
from prensa.evaluation.model_names import unique_names
from prensa.evaluation.plan import Plan
from prensa.evaluation.predict import Output, any_mixes_padding, predict
from prensa.evaluation.quality import Outputs
from prensa.evaluation.results import Cascade, Timing
from prensa.progress import Progress
from prensa.runtime.devices import synchronize
from prensa.serving.margins import margins, unsure
from prensa.serving.ways import take

# Texts that are timed: enough for batches of several lengths, few enough for original and rounds.
_TIMED = 64


def measure_cascades(plan: Plan, models: Models, measured: Measured, progress: Progress) -> None:
    """Choose a threshold for each result, confirm it, and time original, result and both in turns."""
    count = len(plan.judge.plan.texts)
    # After an interruption not all texts have answers, and there is nothing to choose on.
    if measured.texts_answered < count:
        measured.missing.append("cascade")
        return
    names = unique_names(plan.paths[1:])
    for number, name in enumerate(names, 1):
        outputs = _outputs(plan, measured, number)
        # A result without numbers is reported as that; it answers nothing before the original either.
        quality = measured.qualities[number]
        if quality is None or quality.broken:
            continue
        step = functools.partial(progress, f"cascade, result {number} of {len(names)}")
        choice, confirmed = choose(outputs, plan.settings.cascade or 0.0, Draws(step=step))
        timed = _chosen_to_time(outputs, choice.threshold)
        timings = _timings(plan, models, number, timed, choice.threshold, progress)
        measured.cascades.append(Cascade(name, choice, confirmed, *timings))


def _outputs(plan: Plan, measured: Measured, number: int) -> Outputs:
    judged = plan.judge.plan
    indices = range(len(judged.texts))
    return Outputs(
        judged.task,
        judged.texts,
        [],
        [measured.outputs[0][index] for index in indices],
        [measured.outputs[number][index] for index in indices],
    )


def _chosen_to_time(outputs: Outputs, threshold: float) -> list[int]:
    """Choose texts to time, at random, of which as many go on as of all of them.

    Of a few dozen drawn blindly too many or too few would, and the time depends on that.
    """
    going = unsure(margins(outputs.task.kind, outputs.result), threshold)
    count = len(outputs.result)
    staying = sorted(set(range(count)) - set(going))
    timed = min(_TIMED, count)
    share = round(timed * len(going) / count)
    chooser = random.Random(0)
    return [
        *chooser.sample(going, min(share, len(going))),
        *chooser.sample(staying, min(timed - share, len(staying))),
    ]


def _timings(
    plan: Plan,
    models: Models,
    number: int,
    texts: Sequence[int],
    threshold: float,
    progress: Progress,
) -> list[Timing]:
    """Time the original, a result, and both as a cascade on the same texts."""
    device = plan.judge.plan.device
    # Found out beforehand: it takes several calls of a model, and serving does not repeat it either.
    equal = {each: any_mixes_padding([models[each]], [plan.readings[each]]) for each in (0, number)}

    def answered(model: int, some: Sequence[int]) -> dict[int, Output]:
        return _answered(plan, models, model, some, equal=equal[model])

    def both() -> None:
        answers = answered(number, texts)
        sure = margins(plan.judge.plan.task.kind, list(answers.values()))
        order = list(answers)
        # All that goes on goes together: a few of each batch would be small batches.
        answered(0, [order[place] for place in unsure(sure, threshold)])
        synchronize(device)

    def alone(model: int) -> None:
        answered(model, texts)
        synchronize(device)

    rows = [plan.readings[0].encoded.rows[index] for index in texts]
    load = speed.Load(rows, max(len(row["input_ids"]) for row in rows))
    works: list[Callable[[], object]] = [functools.partial(alone, 0), functools.partial(alone, number), both]
    step = functools.partial(progress, "timing the cascade")
    return speed.measure(works, load, device, step)


def _answered(
    plan: Plan, models: Models, number: int, texts: Sequence[int], *, equal: bool
) -> dict[int, Output]:
    """Let a model answer some texts, in batches of like length, or of ``equal`` length."""
    reading = plan.readings[number]
    some = dataclasses.replace(reading, encoded=take(reading.encoded, texts))
    outputs: dict[int, Output] = {}
    size = plan.judge.plan.batch_size
    batches = predict([models[number]], [plan.vectors[number]], [some], size, equal=equal)
    for places, (answers,) in batches:
        for place, answer in zip(places, answers, strict=True):
            outputs[texts[place]] = answer
    return outputs
