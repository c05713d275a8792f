"""Write a model for another runtime, and see that it gives the same answers there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.calibration.plan import texts_to_calibrate_on
from prensa.checkpoint import companions
from prensa.checkpoint.destination import check_destination, check_space
from prensa.checkpoint.directory import replacing
from prensa.checkpoint.reader import check_weight_files
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.task import task_of
from prensa.errors import AccelerationError, check_share
from prensa.extras import require
from prensa.isolation import building
from prensa.progress import Progress, silent
from prensa.runtime import onnxruntime, openvino
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.devices import load_on
from prensa.runtime.exported import TOLERANCES, Gate, Inputs, Record, answer, arrays, distance
from prensa.runtime.program import Program, input_names, trace
from prensa.runtime.torch import Engine
from prensa.texts.columns import Texts, built_in_texts, read_texts, sample
from prensa.texts.encoding import Encoded, encode, load_tokenizer, longest

_SAMPLES = 128  # texts that ranges are measured and answers compared on
_LONGEST = 256  # pieces of each
_JUDGED = 1000  # texts that a budget is kept by
_CHECKED, _SHORT = 8, 64  # built-in texts that the record keeps with PyTorch's answers, and pieces of each


class Runtime(Protocol):
    """What each runtime's module offers."""

    NAME: str
    PRECISIONS: tuple[str, ...]
    ATTENTION: str | None

    def write(
        self,
        program: Program,
        directory: Path,
        precision: str,
        samples: Sequence[Inputs],
        gate: Gate | None = None,
    ) -> None:
        """Write the runtime's files."""

    def Engine(self, directory: Path, precision: str) -> Any:  # noqa: N802  a class
        """Load them."""


RUNTIMES: dict[str, Runtime] = {module.NAME: module for module in (openvino, onnxruntime)}


@dataclass(frozen=True)
class ExportPlan:
    """Everything that is decided before a weight is read. ``samples`` are texts, ``kept`` built-in ones.

    With ``max_drop`` no larger share of the answers to ``judged`` may become wrong; ``right`` are their
    labels, None where the original's answers count.
    """

    model: Path
    output: Path
    runtime: Runtime
    precision: str
    texts: str
    samples: Encoded
    kept: Encoded
    longest: int | None
    max_drop: float | None = None
    judged: Encoded | None = None
    right: Sequence[int] | None = None
    force: bool = False


def plan_export(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    model: Path,
    output: Path,
    *,
    runtime: str,
    precision: str = "int8",
    texts: str | None = None,
    text_column: str | None = None,
    split: str | None = None,
    data: str | None = None,
    label_column: str | None = None,
    max_drop: float | None = None,
    force: bool = False,
) -> ExportPlan:
    """Decide how a model is exported. Raises :class:`AccelerationError` for what a runtime does not have.

    ``data`` and ``label_column`` are what ``max_drop`` is judged by, ``texts`` where they are not given.
    """
    if runtime not in RUNTIMES:
        raise AccelerationError(f"--to {runtime}: expected onnx or openvino")
    chosen = RUNTIMES[runtime]
    require(runtime, f"exporting to {runtime}")
    if precision not in chosen.PRECISIONS:
        raise AccelerationError(
            f"--precision {precision}: {runtime} has {', '.join(chosen.PRECISIONS)} on processors"
        )
    model, output = model.resolve(), output.resolve()
    check_weight_files(model)
    check_destination(model, output, force=force)
    size = sum(path.stat().st_size for path in model.iterdir() if path.is_file())
    check_space(output, 3 * size)
    config = load_config(model)
    name = model_class(config).__name__
    if config.is_encoder_decoder and name.endswith("ForConditionalGeneration"):
        raise AccelerationError(
            f"{model}: {name} writes texts of its own; it cannot be exported, use PyTorch"
        )
    tokenizer = load_tokenizer(model)
    limit = longest(tokenizer, config, None)
    shorter = min(limit or _LONGEST, _LONGEST)
    chosen_texts = texts_to_calibrate_on(texts, text_column, split)
    judged, right = None, None
    check_share("--max-drop", max_drop, AccelerationError)
    if max_drop is not None:
        source = data if data is not None else texts
        found = _to_judge_by(model, config, source, text_column, label_column, split)
        judged = encode(tokenizer, found, "classes", limit)
        right = None if found.labels is None else [int(label) for label in found.labels]
    elif data is not None or label_column is not None:
        raise AccelerationError("--data and --label-column are what a budget is kept by; give --max-drop")
    return ExportPlan(
        model=model,
        output=output,
        runtime=chosen,
        precision=precision,
        texts=chosen_texts.name,
        samples=encode(tokenizer, sample(chosen_texts, _SAMPLES), "embedding", shorter),
        kept=encode(tokenizer, sample(built_in_texts(), _CHECKED), "embedding", min(shorter, _SHORT)),
        longest=limit,
        max_drop=max_drop,
        judged=judged,
        right=right,
        force=force,
    )


def _to_judge_by(  # noqa: PLR0913, PLR0917  where the texts are
    model: Path,
    config: Any,
    source: str | None,
    text_column: str | None,
    label_column: str | None,
    split: str | None,
) -> Texts:
    task = task_of(config)
    if task is None or task.kind != "classes":
        raise AccelerationError(f"{model}: --max-drop of an export counts right answers of a classifier")
    if source is None:
        raise AccelerationError("--max-drop needs texts to judge by: give --data or --texts")
    texts = read_texts(source, task, text_column=text_column, label_column=label_column, split=split)
    return sample(texts, _JUDGED)


def run_export(plan: ExportPlan, progress: Progress = silent) -> Record:
    """Fold, trace, convert, write, and compare with PyTorch in float32.

    Raises :class:`AccelerationError` where the answers are farther apart than the precision allows; then
    nothing was written. One export runs at a time: exporters change the process while they work.
    """
    with building():
        return _run(plan, progress)


def _run(plan: ExportPlan, progress: Progress) -> Record:
    steps = partial(progress, "exporting")
    steps(0, 4)
    model = load_on(plan.model, torch.float32, "cpu", plan.samples.fill["input_ids"])
    names = input_names(model, plan.samples.rows[0])
    samples, kept = ([arrays(row, names) for row in each.rows] for each in (plan.samples, plan.kept))
    exact, answers = (_answers(Engine(model), each) for each in (samples, kept))
    gate = _gate(plan, Engine(model), names)
    steps(1, 4)
    accelerate_answers(model)
    if plan.runtime.ATTENTION is not None:
        model.set_attn_implementation(plan.runtime.ATTENTION)
    program = trace(model, plan.samples.rows[0], plan.longest)
    steps(2, 4)
    with replacing(plan.output, force=plan.force) as directory:
        plan.runtime.write(program, directory, plan.precision, samples, gate)
        steps(3, 4)
        engine = plan.runtime.Engine(directory, plan.precision)
        apart = distance(_answers(engine, samples), exact)
        if apart > TOLERANCES[plan.precision]:
            layer = _first_layer_apart(plan, model, samples)
            raise AccelerationError(
                f"{plan.model}: {plan.runtime.NAME} in {plan.precision} answers otherwise than PyTorch on "
                f"{plan.texts} (distance {apart:.3g}, allowed {TOLERANCES[plan.precision]:g}){layer}; "
                "take another --precision, or more --texts like yours"
            )
        drop = None if gate is None else _drop(plan, gate, model, engine)
        record = Record(
            runtime=plan.runtime.NAME,
            precision=plan.precision,
            inputs=program.inputs,
            output=program.outputs[0],
            longest=plan.longest,
            texts=plan.texts,
            difference=apart,
            rows=tuple(plan.kept.rows),
            answers=tuple(tuple(map(float, each)) for each in answers),
            drop=drop,
        )
        record.save(directory)
        companions.write_config(directory, model.config.to_dict(), None, None)
        companions.copy_companions(plan.model, directory)
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
    steps(4, 4)
    return record


def _gate(plan: ExportPlan, original: Engine, names: tuple[str, ...]) -> Gate | None:
    if plan.judged is None or plan.max_drop is None:
        return None
    inputs = [arrays(row, names) for row in plan.judged.rows]
    right = plan.right
    if right is None:
        right = [int(original(each)[0].argmax()) for each in inputs]
    return Gate(inputs, right, plan.max_drop)


def _drop(plan: ExportPlan, gate: Gate, model: Any, engine: Any) -> float:
    """Return what the budget is about. Raises :class:`AccelerationError` where it is not kept."""
    before = gate.share(Engine(model)) if plan.right is not None else 1.0
    drop = before - gate.share(engine)
    if drop > gate.max_drop:
        raise AccelerationError(
            f"{plan.model}: {plan.runtime.NAME} in {plan.precision} loses {100 * drop:.2f} points on "
            f"{len(gate.right):,} texts, allowed are {100 * gate.max_drop:g}; take another --precision, or "
            "--to openvino, which keeps layers that cost most as they are"
        )
    return drop


def _answers(engine: Any, inputs: Sequence[Inputs]) -> list[NDArray[np.float32]]:
    return [answer(engine(each)[0]) for each in inputs]


def _first_layer_apart(plan: ExportPlan, model: Any, samples: Sequence[Inputs]) -> str:
    """Name the first layer whose vectors differ more than is allowed, if that can be found out."""
    try:
        program = trace(model, plan.samples.rows[0], plan.longest, layers=True)
        with tempfile.TemporaryDirectory() as place:
            plan.runtime.write(program, Path(place), plan.precision, samples)
            engine = plan.runtime.Engine(Path(place), plan.precision)
            some = samples[:8]
            found = [[answer(each) for each in engine(inputs)[1:]] for inputs in some]
        exact = [_hidden_states(model, inputs) for inputs in some]
    except Exception:  # noqa: BLE001  the error that is being explained is what counts
        return ""
    for number in range(len(exact[0])):
        apart = distance([each[number] for each in found], [each[number] for each in exact])
        if apart > TOLERANCES[plan.precision]:
            return f", from {'the embeddings' if number == 0 else f'layer {number - 1}'} on"
    return ", in the head alone"


@torch.inference_mode()
def _hidden_states(model: Any, inputs: Inputs) -> list[NDArray[np.float32]]:
    output = model(**{k: torch.from_numpy(v) for k, v in inputs.items()}, output_hidden_states=True)
    return [answer(each.numpy()) for each in output.hidden_states]
