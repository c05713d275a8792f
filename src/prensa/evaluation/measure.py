"""The stages of an evaluation: each measures one thing of all models and writes it down as it goes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.kinds import LANGUAGE
from prensa.errors import DataError, PrensaError
from prensa.evaluation import bootstrap, memory, speed
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.figures import Quality
from prensa.evaluation.generation import write_some
from prensa.evaluation.other_half import on_other_half
from prensa.evaluation.plan import Plan
from prensa.evaluation.predict import Output, answer_texts
from prensa.evaluation.quality import Outputs, compare
from prensa.evaluation.reading import Reading, own_row
from prensa.evaluation.results import Cascade, Memory, Retokenized, Timing
from prensa.progress import Progress
from prensa.runtime.accelerate import folded_twin
from prensa.runtime.devices import DTYPES, synchronize
from prensa.texts.encoding import Row, pad

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prensa.serving.served import Served

Models: TypeAlias = "list[PreTrainedModel | Served]"

# Of the bar of a stage whose number of steps is not known before.
_STEPS = 1000


@dataclass
class Measured:
    """What has been measured so far. Lists are in the order of the models, the original first.

    ``outputs`` are by the number of the text. ``folded`` are the timings of the original with its attention
    folded.
    """

    outputs: list[dict[int, Output]]
    qualities: list[Quality | None]
    timings: list[list[Timing]]
    memories: list[Memory | None]
    retokenized: list[Retokenized | None]
    folded: list[Timing] = field(default_factory=list)
    cascades: list[Cascade] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def nothing(cls, models: int) -> Measured:
        """Begin with so many models."""
        return cls(
            outputs=[{} for _ in range(models)],
            qualities=[None] * models,
            timings=[[] for _ in range(models)],
            memories=[None] * models,
            retokenized=[None] * models,
        )

    @property
    def texts_answered(self) -> int:
        """How many texts all models have answered."""
        return min(len(outputs) for outputs in self.outputs)


def measure_quality(plan: Plan, models: Models, measured: Measured, progress: Progress) -> None:
    """Let all models answer all texts, and compare."""
    stopped = None
    try:
        _answer(plan, models, measured, progress)
    except KeyboardInterrupt as error:
        # What was answered until now is compared before the interruption goes on.
        stopped = error
    # An interruption falls anywhere: only texts that all models have answered count.
    indices = set(measured.outputs[0])
    for outputs in measured.outputs:
        indices &= set(outputs)
    if indices:
        _compare(plan, measured, sorted(indices), progress)
    if stopped is not None:
        raise stopped


def _answer(plan: Plan, models: Models, measured: Measured, progress: Progress) -> None:
    """Let the models answer; the original only if the judge has not heard it on these texts yet."""
    judge = plan.judge
    everything = range(len(judge.plan.texts))
    start = 0
    # Where words are left out that a trimmed vocabulary does not reach, the original answers fewer of them.
    is_whole = plan.readings[0].encoded.places == judge.plan.encoded.places
    if is_whole and judge.plan.task.kind not in LANGUAGE and judge.knows(everything):
        measured.outputs[0].update(zip(everything, judge.answers(everything), strict=True))
        start = 1
    answer_texts(
        models[start:],
        plan.vectors[start:],
        plan.readings[start:],
        judge.plan.batch_size,
        measured.outputs[start:],
        progress,
    )


def _compare(plan: Plan, measured: Measured, indices: Sequence[int], progress: Progress) -> None:
    judged = plan.judge.plan
    texts = judged.texts.take(indices)
    places: list[list[int]] = []
    if plan.readings[0].encoded.places:
        places = [plan.readings[0].encoded.places[index] for index in indices]
    original = [measured.outputs[0][index] for index in indices]
    results = len(plan.paths) - 1
    stopped = None
    for number in range(1, results + 1):
        result = [measured.outputs[number][index] for index in indices]
        outputs = Outputs(judged.task, texts, places, original, result, judged.terms)
        step = functools.partial(progress, f"intervals, result {number} of {results}")
        resamples = bootstrap.RESAMPLES if stopped is None else 0
        try:
            quality = plan.judge.compared(outputs, Draws(resamples, step))
        except KeyboardInterrupt as error:
            # What was answered is kept, without intervals.
            stopped = error
            quality = plan.judge.compared(outputs, Draws(0))
        except DataError as error:
            # All texts could choose thresholds: those that were answered before an interruption cannot.
            measured.problems.append(str(error))
            return
        measured.qualities[number] = quality
        measured.retokenized[number] = _retokenized(plan, number, indices, outputs)
    if stopped is not None:
        raise stopped


def _retokenized(plan: Plan, number: int, indices: Sequence[int], outputs: Outputs) -> Retokenized | None:
    """Say how many texts a trimmed vocabulary tokenizes differently, and what is lost on them alone."""
    reading = plan.readings[number].take(indices)
    if reading.kept is None:
        return None
    if plan.judge.plan.task.kind in LANGUAGE:
        return Retokenized(plan.left_out, None)
    changed = reading.changed
    if not changed:
        return Retokenized(0, None)
    # Passages are ranked among all others, and not among some of them.
    if outputs.texts.queries is not None:
        return Retokenized(len(changed), None)
    for index in changed:
        if not np.isfinite(outputs.result[index]).all():
            return Retokenized(len(changed), None)
    # Of so few texts no threshold could be chosen: it is that of all texts.
    chosen = on_other_half(outputs).chosen
    on_changed = dataclasses.replace(outputs.take(changed), chosen=chosen)
    return Retokenized(len(changed), compare(on_changed, Draws()).drop)


def measure_speed(plan: Plan, models: Models, measured: Measured, progress: Progress) -> None:
    """Time all models in turns at several lengths, and beside them the original with its attention folded."""
    judged = plan.judge.plan
    loads = speed.loads(plan.readings[0].encoded.rows, judged.batch_size)
    timed = [*models, *folded_twin(models[0])]
    for number, load in enumerate(loads):
        batches = [_batch(plan, reading, load) for reading in plan.readings]
        # The folded original reads what the original reads.
        batches.append(batches[0])
        works = []
        for model, batch in zip(timed, batches, strict=False):
            work = _write if judged.task.kind == "writing" else _work
            works.append(functools.partial(work, model, batch, judged.device))
        step = functools.partial(_step, progress, number, len(loads))
        timings = speed.measure(works, load, judged.device, step)
        for own_timings, timing in zip(measured.timings, timings, strict=False):
            own_timings.append(timing)
        measured.folded += timings[len(models) :]


def _step(progress: Progress, number: int, loads: int, done: int, rounds: int) -> None:
    """Report one round of one load as a part of all loads."""
    progress("timing", number * _STEPS + _STEPS * done // rounds, _STEPS * loads)


def _batch(plan: Plan, reading: Reading, load: speed.Load) -> dict[str, torch.Tensor]:
    rows = [_own(plan, reading, row) for row in load.rows]
    return pad(rows, reading.encoded, plan.judge.plan.device)


def _own(plan: Plan, reading: Reading, row: Row) -> Row:
    """Return a text of the original's as a model reads it."""
    if reading.kept is None:
        return row
    return own_row(row, (plan.readings[0], reading))


@torch.inference_mode()
def _work(model: PreTrainedModel | Served, batch: dict[str, torch.Tensor], device: str) -> None:
    model(**batch)
    synchronize(device)


def _write(model: PreTrainedModel, batch: dict[str, torch.Tensor], device: str) -> None:
    write_some(model, batch)
    synchronize(device)


def measure_memory(plan: Plan, models: Models, measured: Measured, progress: Progress) -> None:
    """Load each model in a separate process, let it answer the longest text, and ask for its peak."""
    judged = plan.judge.plan
    # The processes need the room.
    models.clear()
    torch.cuda.empty_cache()
    stage = "memory, each in its own process"
    longest = max(plan.readings[0].encoded.rows, key=lambda row: len(row["input_ids"]))
    for number, path in enumerate(plan.paths):
        progress(stage, number, len(plan.paths))
        reading = plan.readings[number]
        job = memory.Job(
            str(path.resolve()),
            _dtype_name(judged.dtype),
            judged.device,
            _own(plan, reading, longest),
            judged.batch_size,
            reading.encoded.fill["input_ids"],
            dataclasses.asdict(allowed()),
        )
        try:
            measured.memories[number] = memory.memory_of(job)
        except PrensaError as error:
            # The rest was measured, and is not lost.
            measured.problems.append(str(error))
    progress(stage, len(plan.paths), len(plan.paths))


def _dtype_name(dtype: torch.dtype | str) -> str:
    for name, known in DTYPES.items():
        if known == dtype:
            return name
    return "auto"
