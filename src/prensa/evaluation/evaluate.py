"""Compare pressed models with their original: plan, then measure quality, speed and memory.

:func:`plan` reads configs, tokenizers and texts and fails there if it can. :func:`run` loads all models,
lets them answer the texts side by side, times them in turns, and measures the memory of each in a process
of its own. What was measured before an interruption is kept.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.card import model_name
from prensa.checkpoint.companions import RECIPE_FILE
from prensa.checkpoint.inputs import check_reads_texts
from prensa.checkpoint.locate import locate
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.task import LANGUAGE, Task, task_of, unanswered
from prensa.errors import EvaluationError, ModelError, check_share
from prensa.evaluation import bootstrap, memory, speed
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.machine import this_machine
from prensa.evaluation.original import check_finite
from prensa.evaluation.predict import Output, predict
from prensa.evaluation.quality import Outputs, compare
from prensa.evaluation.reading import Reading, common_words, own_row, read_by, readable
from prensa.evaluation.results import (
    Data,
    Evaluation,
    File,
    Memory,
    Model,
    Quality,
    Retokenized,
    Settings,
    Timing,
)
from prensa.evaluation.size import list_files
from prensa.progress import Progress, silent
from prensa.runtime.accelerate import folded_twin
from prensa.runtime.devices import DTYPES, choose_device, choose_dtype, synchronize
from prensa.runtime.text_vector import TextVector, read_text_vector
from prensa.serving.exported import is_export, read_record
from prensa.serving.load import load_to_compare
from prensa.serving.served import Served
from prensa.spec import dtype_name
from prensa.texts.columns import Texts, built_in_texts, read_texts, sample
from prensa.texts.encoding import (
    Encoded,
    check_ids,
    embedding_rows,
    encode,
    largest_id,
    load_tokenizer,
    longest,
    pad,
)
from prensa.texts.source import Source
from prensa.version import VERSION

_BATCH = {"masked": 8, "causal": 8}  # language models give a number for each piece of the vocabulary
_USUAL_BATCH = 32


@dataclass(frozen=True)
class Plan:
    """All that is known before a weight is read. The first of each list is the original's."""

    settings: Settings
    paths: tuple[Path, ...]
    files: tuple[tuple[File, ...], ...]
    task: Task
    texts: Texts
    tokenizer: Any
    max_length: int | None
    encoded: Encoded
    device: str
    dtype: torch.dtype | str
    batch_size: int
    readings: tuple[Reading, ...]
    vectors: tuple[TextVector, ...]
    left_out: int
    notes: tuple[str, ...] = ()


@dataclass
class Found:
    """What has been measured so far. Lists are in the order of the models, the original first.

    ``folded`` are the timings of the original with its attention folded.
    """

    outputs: list[dict[int, Output]]
    qualities: list[Quality | None]
    timings: list[list[Timing]]
    memories: list[Memory | None]
    retokenized: list[Retokenized | None]
    folded: list[Timing] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def plan(settings: Settings, progress: Progress = silent) -> Plan:
    """Find out whether the models can be compared on the texts. Reads no weights.

    Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    _check_numbers(settings)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    paths = tuple(map(locate, (settings.original, *settings.results)))
    task = _common_task(paths)
    files = tuple(map(list_files, paths))
    if is_export(paths[0]):
        raise EvaluationError(
            f"{paths[0]}: an export cannot be the original; name the model it was made from"
        )
    notes: list[str] = []
    for path in paths:
        if is_export(path):
            read_record(path)
        else:
            notes += [f"{path}: {note}" for note in check_names(path)]
    vectors = tuple(read_text_vector(path, task.kind) for path in paths)
    tokenizer = load_tokenizer(paths[0])
    if task.kind == "masked" and tokenizer.mask_token_id is None:
        raise EvaluationError(f"{paths[0]}: the tokenizer has no mask token, which comparing this task needs")
    limit = longest(tokenizer, load_config(paths[0]), settings.max_length)
    texts = sample(_texts(settings, task), settings.limit)
    encoded = encode(tokenizer, texts, task.kind, limit, functools.partial(progress, "reading texts"))
    kept = readable(paths[1:], encoded)
    left_out = len(texts) - len(kept)
    if left_out:
        texts, encoded = texts.take(kept), Reading(encoded).take(kept).encoded
    others = (read_by(path, paths[0], tokenizer, texts, encoded, limit) for path in paths[1:])
    readings = common_words([Reading(encoded), *others])
    for path, reading in zip(paths, readings, strict=True):
        check_ids(path, largest_id(reading.encoded), embedding_rows(load_config(path)))
    encoded = readings[0].encoded
    batch_size = settings.batch_size or _BATCH.get(task.kind, _USUAL_BATCH)
    return Plan(
        settings, paths, files, task, texts, tokenizer, limit, encoded, device, dtype, batch_size,
        readings, vectors, left_out, tuple(notes),
    )  # fmt: skip


def run(plan: Plan, progress: Progress = silent) -> Evaluation:
    """Measure. An interruption (``KeyboardInterrupt``) ends the measuring, and what there is is returned."""
    machine = this_machine(plan.device)
    models = _load(plan, progress)
    count = len(models)
    dtypes = [
        f"{model.record.precision}, {model.record.runtime}"
        if isinstance(model, Served)
        else dtype_name(model.dtype)
        for model in models
    ]
    weights = sum(weight.numel() for weight in models[0].parameters())
    found = Found([{} for _ in models], [None] * count, [[] for _ in models], [None] * count, [None] * count)
    stages = {"quality": _measure_quality, "speed": _measure_speed, "memory": _measure_memory}
    for name, stage in stages.items():
        try:
            stage(plan, models, found, progress)
        except KeyboardInterrupt:
            found.missing += list(stages)[list(stages).index(name) :]
            break
    measured = min(map(len, found.outputs))
    return Evaluation(
        settings=plan.settings,
        date=dt.datetime.now(dt.timezone.utc).date().isoformat(),
        machine=machine,
        task=plan.task,
        data=_data(plan, measured),
        device=plan.device,
        batch_size=plan.batch_size,
        nbytes_float32=4 * weights,
        original=_model(plan, found, 0, "original", dtypes[0]),
        results=tuple(
            _model(plan, found, index, name, dtypes[index])
            for index, name in enumerate(_unique_names(plan.paths[1:]), 1)
        ),
        folded=tuple(found.folded),
        missing=tuple(found.missing),
        problems=tuple(found.problems),
        notes=plan.notes,
        prensa_version=VERSION,
    )


def _load(plan: Plan, progress: Progress) -> list[Any]:
    models = []
    for done, path in enumerate(plan.paths):
        progress("loading", done, len(plan.paths))
        pad_id = plan.readings[done].encoded.fill["input_ids"]
        models.append(load_to_compare(path, plan.dtype, plan.device, pad_id))
    progress("loading", len(models), len(models))
    return models


def _measure_quality(plan: Plan, models: Sequence[Any], found: Found, progress: Progress) -> None:
    stopped = None
    try:
        _predict(plan, models, found, progress)
    except KeyboardInterrupt as error:
        stopped = error
    indices = sorted(set.intersection(*map(set, found.outputs)))  # an interruption falls anywhere
    if indices:
        _compare(plan, found, indices, progress)
    if stopped is not None:
        raise stopped


def _predict(plan: Plan, models: Sequence[Any], found: Found, progress: Progress) -> None:
    lengths = plan.encoded.lengths
    done, total = 0, sum(lengths)
    for indices, outputs in predict(models, plan.vectors, plan.readings, plan.batch_size):
        for kept, own in zip(found.outputs, outputs, strict=True):
            kept.update(zip(indices, own, strict=True))
        done += sum(lengths[i] for i in indices)
        progress(f"answering {len(lengths):,} texts", done, total)


def _compare(plan: Plan, found: Found, indices: list[int], progress: Progress) -> None:
    original, *results = ([outputs[i] for i in indices] for outputs in found.outputs)
    check_finite(plan.paths[0], original)
    texts = plan.texts.take(indices)
    places = [plan.encoded.places[i] for i in indices] if plan.encoded.places else []
    stopped = None
    for number, result in enumerate(results, 1):
        outputs = Outputs(plan.task, texts, places, original, result)
        step = functools.partial(progress, f"intervals, result {number} of {len(results)}")
        try:
            draws = Draws(0 if stopped else bootstrap.RESAMPLES, step)
            found.qualities[number] = compare(outputs, draws)
        except KeyboardInterrupt as error:  # what was answered is kept, without intervals
            stopped = error
            found.qualities[number] = compare(outputs, Draws(0))
        found.retokenized[number] = _retokenized(plan, number, indices, outputs)
    if stopped is not None:
        raise stopped


def _measure_speed(plan: Plan, models: Sequence[Any], found: Found, progress: Progress) -> None:
    choices = speed.loads(plan.encoded.rows, plan.batch_size)
    timed = [*models, *folded_twin(models[0])]
    for number, load in enumerate(choices):
        batches = [_batch(plan, reading, load) for reading in plan.readings]
        batches.append(batches[0])  # of the folded original
        works = [
            functools.partial(_answer, model, batch, plan.device)
            for model, batch in zip(timed, batches, strict=False)
        ]

        def step(done: int, rounds: int, number: int = number) -> None:
            progress("timing", number * 1000 + 1000 * done // rounds, 1000 * len(choices))

        timings = speed.measure(works, load, plan.device, step)
        for kept, timing in zip(found.timings, timings, strict=False):
            kept.append(timing)
        found.folded += timings[len(models) :]


def _batch(plan: Plan, reading: Reading, load: speed.Load) -> dict[str, torch.Tensor]:
    rows = load.rows
    if reading.kept is not None:
        rows = [own_row(row, (plan.readings[0], reading)) for row in rows]
    return pad(rows, reading.encoded, plan.device)


@torch.inference_mode()
def _answer(model: Any, batch: dict[str, torch.Tensor], device: str) -> None:
    model(**batch)
    synchronize(device)


def _measure_memory(plan: Plan, models: list[Any], found: Found, progress: Progress) -> None:
    models.clear()  # the processes need the room
    torch.cuda.empty_cache()
    row = max(plan.encoded.rows, key=lambda each: len(each["input_ids"]))
    for number, path in enumerate(plan.paths):
        progress("memory, each in its own process", number, len(plan.paths))
        dtype = next((name for name, each in DTYPES.items() if each == plan.dtype), "auto")
        reading = plan.readings[number]
        pad_id = reading.encoded.fill["input_ids"]
        own = row if reading.kept is None else own_row(row, (plan.readings[0], reading))
        permitted = dataclasses.asdict(allowed())
        job = memory.Job(str(path.resolve()), dtype, plan.device, own, plan.batch_size, pad_id, permitted)
        try:
            found.memories[number] = memory.measure_memory(job)
        except ModelError as error:  # the rest was measured, and is not lost
            found.problems.append(str(error))
    progress("memory, each in its own process", len(plan.paths), len(plan.paths))


def _common_task(paths: Sequence[Path]) -> Task:
    configs = [load_config(path) for path in paths]
    check_reads_texts(paths[0], configs[0])
    task = task_of(configs[0])
    if task is None:
        name = model_class(configs[0]).__name__
        what = unanswered(configs[0]).partition(";")[0]
        raise EvaluationError(
            f"{paths[0]}: cannot compare {name}, which {what}; Prensa compares classifiers, models of one "
            "number, language models and embeddings of texts"
        )
    for path, config in zip(paths[1:], configs[1:], strict=True):
        other = task_of(config)
        if other is None or other.kind != task.kind:
            raise EvaluationError(
                f"{path}: is a model for {other.kind if other else 'something else'}, the original for "
                f"{task.kind}; compare models of the same task"
            )
        if other.labels != task.labels:
            raise EvaluationError(
                f"{path}: has the labels {', '.join(other.labels)}, the original {', '.join(task.labels)}; "
                "compare a model with the one it was made from"
            )
    return task


def _texts(settings: Settings, task: Task) -> Texts:
    if settings.data is not None:
        source = Source(
            settings.data,
            text_column=settings.text_column,
            label_column=settings.label_column,
            split=settings.split,
            encoding=settings.encoding,
            labels=settings.labels,
        )
        return read_texts(source, task)
    for option in ("text_column", "label_column", "split", "encoding", "labels"):
        if getattr(settings, option) is not None:
            raise EvaluationError(f"--{option.replace('_', '-')} needs --data: the built-in texts have none")
    return built_in_texts()


def _check_numbers(settings: Settings) -> None:
    for option in ("limit", "batch_size", "max_length"):
        value = getattr(settings, option)
        if value is not None and value < 1:
            raise EvaluationError(f"--{option.replace('_', '-')} must be at least 1, found {value}")
    check_share("--max-drop", settings.max_drop, EvaluationError)


def _data(plan: Plan, measured: int) -> Data:
    lengths = sorted(plan.encoded.lengths)
    return Data(
        name=plan.texts.name,
        columns=plan.texts.columns,
        label_columns=plan.texts.label_columns,
        texts=len(plan.texts),
        measured=measured,
        labelled=plan.texts.labels is not None,
        is_smoke_test=plan.texts.is_smoke_test,
        truncated=plan.encoded.truncated,
        max_length=plan.max_length,
        quartiles=tuple(lengths[round(quarter / 4 * (len(lengths) - 1))] for quarter in range(5)),
        account=plan.texts.account,
    )


def _model(plan: Plan, found: Found, index: int, name: str, dtype: str) -> Model:
    recipe = plan.paths[index] / RECIPE_FILE
    return Model(
        name=name,
        path=str(plan.paths[index].resolve()),
        dtype=dtype,
        files=plan.files[index],
        recipe=recipe.read_text(encoding="utf-8", errors="replace") if recipe.is_file() else "",
        quality=found.qualities[index],
        timings=tuple(found.timings[index]),
        memory=found.memories[index],
        retokenized=found.retokenized[index],
    )


def _retokenized(plan: Plan, number: int, indices: list[int], outputs: Outputs) -> Retokenized | None:
    """Say how many texts a trimmed vocabulary cuts otherwise, and what is lost on them alone."""
    reading = plan.readings[number].take(indices)
    if reading.kept is None:
        return None
    at = reading.changed
    if plan.task.kind in LANGUAGE:
        return Retokenized(plan.left_out, None)
    if not at or not all(np.isfinite(outputs.result[i]).all() for i in at):
        return Retokenized(len(at), None)
    some = Outputs(
        plan.task,
        outputs.texts.take(at),
        [outputs.places[i] for i in at] if outputs.places else [],
        [outputs.original[i] for i in at],
        [outputs.result[i] for i in at],
    )
    return Retokenized(len(at), compare(some, Draws()).drop)


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Name models after their directories, with as much of the path as tells them apart."""
    parts = [(*path.resolve().parent.parts, *model_name(path).split("/")) for path in paths]
    names: list[str] = []
    for own in parts:
        others = [each for each in parts if each != own]
        depth = next((n for n in range(1, len(own)) if all(own[-n:] != o[-n:] for o in others)), len(own))
        name = "/".join(own[-depth:])
        same = [each for each in parts[: len(names)] if each == own]
        names.append(f"{name} ({len(same) + 1})" if same or name == "original" else name)
    return names
