"""Compare results with their original: plan, then measure quality, speed and memory.

The plan has read configs, tokenizers and texts. :func:`run` loads all models, lets them answer the texts side
by side, times them in turns, and measures the memory of each in a separate process. What was measured before
an interruption is kept.
"""

from __future__ import annotations

import datetime as dt

from prensa.checkpoint.companions import RECIPE_FILE
from prensa.evaluation.cascades import measure_cascades
from prensa.evaluation.machine import this_machine
from prensa.evaluation.measure import Measured, Models, measure_memory, measure_quality, measure_speed
from prensa.evaluation.model_names import unique_names
from prensa.evaluation.plan import Plan
from prensa.evaluation.results import Data, Evaluation, Model
from prensa.ops.spec import dtype_name
from prensa.progress import Progress, silent
from prensa.serving.served import Served
from prensa.version import VERSION


def run(plan: Plan, progress: Progress = silent) -> Evaluation:
    """Measure. An interruption (``KeyboardInterrupt``) ends the measuring, and what there is is returned."""
    judged = plan.judge.plan
    machine = this_machine(judged.device)
    models = _load(plan, progress)
    dtypes = [_dtype(model) for model in models]
    weights = sum(weight.numel() for weight in models[0].parameters())
    measured = Measured.nothing(len(models))
    stages = {
        "quality": measure_quality,
        "speed": measure_speed,
        "cascade": measure_cascades,
        "memory": measure_memory,
    }
    # Not one that is missing where it was never wanted.
    if plan.settings.cascade is None:
        del stages["cascade"]
    for name, measure in stages.items():
        try:
            measure(plan, models, measured, progress)
        except KeyboardInterrupt:
            names = list(stages)
            measured.missing += names[names.index(name) :]
            break
    results: list[Model] = []
    for number, name in enumerate(unique_names(plan.paths[1:]), 1):
        results.append(_model(plan, measured, number, name, dtypes[number]))
    return Evaluation(
        settings=plan.settings,
        date=dt.datetime.now(dt.timezone.utc).date().isoformat(),
        machine=machine,
        task=judged.task,
        data=_data(plan, measured.texts_answered),
        device=judged.device,
        batch_size=judged.batch_size,
        nbytes_float32=4 * weights,
        original=_model(plan, measured, 0, "original", dtypes[0]),
        results=tuple(results),
        folded=tuple(measured.folded),
        cascades=tuple(measured.cascades),
        missing=tuple(measured.missing),
        problems=tuple(measured.problems),
        notes=plan.notes,
        prensa_version=VERSION,
    )


def _load(plan: Plan, progress: Progress) -> Models:
    models: Models = []
    for number, (path, reading) in enumerate(zip(plan.paths, plan.readings, strict=True)):
        progress("loading", number, len(plan.paths))
        models.append(plan.judge.load(path, reading))
    progress("loading", len(models), len(models))
    return models


def _dtype(model: object) -> str:
    if isinstance(model, Served):
        return f"{model.record.precision}, {model.record.runtime}"
    return dtype_name(model.dtype)  # type: ignore[attr-defined]


def _data(plan: Plan, measured: int) -> Data:
    judged = plan.judge.plan
    lengths = sorted(judged.encoded.lengths)
    quartiles: list[int] = []
    for quarter in range(5):
        quartiles.append(lengths[round(quarter / 4 * (len(lengths) - 1))])
    return Data(
        name=judged.texts.name,
        columns=judged.texts.columns,
        label_columns=judged.texts.label_columns,
        texts=len(judged.texts),
        measured=measured,
        labelled=judged.texts.labels is not None or judged.texts.queries is not None,
        is_smoke_test=judged.texts.is_smoke_test,
        truncated=judged.encoded.truncated,
        max_length=judged.max_length,
        quartiles=tuple(quartiles),
        account=judged.texts.account,
        queries=0 if judged.texts.queries is None else len(judged.texts.queries.numbers),
    )


def _model(plan: Plan, measured: Measured, number: int, name: str, dtype: str) -> Model:
    path = plan.paths[number]
    recipe = path / RECIPE_FILE
    text = ""
    if recipe.is_file():
        text = recipe.read_text(encoding="utf-8", errors="replace")
    return Model(
        name=name,
        path=str(path.resolve()),
        dtype=dtype,
        files=plan.files[number],
        recipe=text,
        quality=measured.qualities[number],
        timings=tuple(measured.timings[number]),
        memory=measured.memories[number],
        retokenized=measured.retokenized[number],
    )
