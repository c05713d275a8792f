"""Write a model for another runtime, and see that it gives the same answers there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.atomic import at_home
from prensa.calibration.plan import texts_to_calibrate_on
from prensa.checkpoint import companions
from prensa.checkpoint.destination import check_destination, check_space
from prensa.checkpoint.directory import replacing
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import Kind, task_of
from prensa.errors import AccelerationError, DifferentAnswersError, check_share, first_line
from prensa.extras import require
from prensa.isolation import building
from prensa.progress import Progress, silent
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.devices import load_on
from prensa.serving import onnxruntime, openvino
from prensa.serving.answering import Answering, find_way, one_by_one, own_rows, probes, take, together
from prensa.serving.distance import Comparison, as_rows, distance
from prensa.serving.exported import TOLERANCES, Gate, Inputs, Record, apart_on_record, arrays, whole
from prensa.serving.program import Program, input_names, trace
from prensa.serving.pytorch import Engine
from prensa.serving.recording import compare
from prensa.serving.refusals import check_exported
from prensa.temporary import temporary_directory
from prensa.texts.columns import Texts, read_texts, sample
from prensa.texts.encoding import (
    Encoded,
    check_ids,
    embedding_rows,
    encode,
    largest_id,
    load_tokenizer,
    longest,
)
from prensa.texts.library import Library
from prensa.texts.source import Source

_SAMPLES = 128  # texts that ranges are measured and answers compared on
_LONGEST = 256  # pieces of each
_JUDGED = 1000  # texts that a budget is kept by
_TOGETHER = 2  # tolerances that padded texts may be apart by: 8-bit ranges reach over all of a batch
_SIDED: tuple[Kind, ...] = ("classes", "multi-label", "regression")  # padded as their tokenizer says

_PLAIN = "eager"
"""The attention that is written out in matrix products."""

_BROKEN = "the original gives no number (NaN or infinity) on some texts; there is nothing to compare with"

_log = logging.getLogger(__name__)


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
    """Everything that is decided before a weight is read. ``samples`` are texts.

    With ``max_drop`` no larger share of the answers to ``judged`` may become wrong; ``right`` are their
    labels, None where the original's answers count. ``accounts`` say what was read.
    """

    model: Path
    output: Path
    runtime: Runtime
    precision: str
    texts: str
    samples: Encoded
    longest: int | None
    max_drop: float | None = None
    judged: Encoded | None = None
    right: Sequence[int] | None = None
    notes: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
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
    encoding: str | None = None,
    labels: dict[str, str] | None = None,
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
    model, output = model.resolve(), at_home(output).resolve()
    config = load_config(model)
    check_exported(model, config)
    notes = check_names(model)
    check_destination(model, output, force=force)
    size = sum(path.stat().st_size for path in model.iterdir() if path.is_file())
    check_space(output, 3 * size)
    tokenizer = load_tokenizer(model)
    limit = longest(tokenizer, config, None)
    shorter = min(limit or _LONGEST, _LONGEST)
    where = Source(texts, text_column=text_column, split=split, encoding=encoding)
    chosen_texts = texts_to_calibrate_on(where, Library())
    judged, right = None, None
    accounts = [chosen_texts.account]
    check_share("--max-drop", max_drop, AccelerationError)
    if max_drop is not None:
        source = data if data is not None else texts
        found = _to_judge_by(model, config, source, text_column, label_column, split, encoding, labels)
        accounts.append(found.account)
        judged = encode(tokenizer, found, "classes", limit)
        check_ids(model, largest_id(judged), embedding_rows(config))
        right = None if found.labels is None else [int(label) for label in found.labels]
    elif data is not None or label_column is not None or labels is not None:
        raise AccelerationError("--data, --label-column and --labels need a budget: give --max-drop")
    task = task_of(config)
    kind = task.kind if task is not None and task.kind in _SIDED else "embedding"
    samples = encode(tokenizer, sample(chosen_texts, _SAMPLES), kind, shorter)
    check_ids(model, largest_id(samples), embedding_rows(config))
    return ExportPlan(
        model=model,
        output=output,
        runtime=chosen,
        precision=precision,
        texts=chosen_texts.name,
        samples=samples,
        longest=limit,
        max_drop=max_drop,
        judged=judged,
        right=right,
        notes=notes,
        accounts=tuple(accounts),
        force=force,
    )


def _to_judge_by(  # noqa: PLR0913, PLR0917  where the texts are
    model: Path,
    config: Any,
    source: str | None,
    text_column: str | None,
    label_column: str | None,
    split: str | None,
    encoding: str | None,
    labels: dict[str, str] | None,
) -> Texts:
    task = task_of(config)
    if task is None or task.kind != "classes":
        raise AccelerationError(f"{model}: --max-drop of an export counts right answers of a classifier")
    if source is None:
        raise AccelerationError("--max-drop needs texts to judge by: give --data or --texts")
    where = Source(
        source,
        text_column=text_column,
        label_column=label_column,
        split=split,
        limit=_JUDGED,
        encoding=encoding,
        labels=labels,
    )
    return read_texts(where, task)


def run_export(plan: ExportPlan, progress: Progress = silent) -> Record:
    """Fold, trace, convert, write, and compare with PyTorch in float32.

    Raises :class:`AccelerationError` where the answers are farther apart than the precision allows; then
    nothing was written. One export runs at a time: exporters change the process while they work.
    """
    with building():
        try:
            return _run(plan, progress, plan.runtime.ATTENTION)
        except _PaddingError:
            if plan.runtime.ATTENTION == _PLAIN:
                raise
            return _run(plan, progress, _PLAIN)


class _PaddingError(DifferentAnswersError):
    """Texts are answered rightly alone, and differently beside longer ones."""


def _run(plan: ExportPlan, progress: Progress, attention: str | None) -> Record:
    """Export with an implementation of attention, None for the model's own."""
    steps = partial(progress, "exporting")
    steps(0, 5)
    model = load_on(plan.model, torch.float32, "cpu", plan.samples.fill["input_ids"])
    names = input_names(model, plan.samples.rows[0])
    exact = _exact(plan, model, names, _PLAIN if _slides(model.config) else attention)
    steps(1, 5)
    program = trace(model, plan.samples.rows[0], plan.longest)
    samples = [arrays(row, program.inputs) for row in plan.samples.rows]
    gate = _gate(plan, exact, program.inputs)
    steps(2, 5)
    with replacing(plan.output, force=plan.force) as directory:
        plan.runtime.write(program, directory, plan.precision, samples, gate)
        steps(3, 5)
        engine = _Asked(plan, plan.runtime.NAME, plan.runtime.Engine(directory, plan.precision))
        compared = compare(engine, program.inputs, exact, plan.samples)
        apart = compared.total.distance
        _check_original(plan, compared.total)
        if apart > TOLERANCES[plan.precision]:
            raise _differs(plan, plan.texts, apart, _first_layer_apart(plan, model, samples))
        steps(4, 5)
        kept = compared.kept(plan.samples)
        drop = None if gate is None else _drop(plan, gate, exact, engine)
        record = Record(
            runtime=plan.runtime.NAME,
            precision=plan.precision,
            inputs=program.inputs,
            output=program.outputs[0],
            longest=plan.longest,
            texts=plan.texts,
            difference=apart,
            rows=tuple(plan.samples.rows[i] for i in kept),
            answers=tuple(compared.answer(i) for i in kept),
            drop=drop,
            scale=compared.total.scale,
        )
        _check_record(plan, record, exact, engine)
        record.save(directory)
        companions.write_config(directory, model.config.to_dict(), None, None)
        companions.copy_companions(plan.model, directory)
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
    steps(5, 5)
    return record


class _Asked:
    """An engine of a runtime, or of PyTorch, whose own errors become one line."""

    def __init__(self, plan: ExportPlan, name: str, engine: Any) -> None:
        self.plan, self.name, self.engine = plan, name, engine

    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        try:
            found: list[NDArray[np.float32]] = self.engine(inputs)
        except AccelerationError:
            raise
        except Exception as error:
            shape = " × ".join(map(str, next(iter(inputs.values())).shape))
            raise AccelerationError(
                f"{self.plan.model}: {self.name} fails on {shape} tokens ({first_line(error)}); "
                "the model cannot be exported"
            ) from error
        return found


def _slides(config: Any) -> bool:
    """Whether some layers attend to near tokens alone: far in the padding there is none of them.

    Fused kernels then give no number, and that times a weight of zero is no number either. The plain
    implementation has no such rows.
    """
    kinds = getattr(config, "layer_types", None) or ()
    window = getattr(config, "sliding_window", None) or getattr(config, "local_attention", None)
    return "sliding_attention" in kinds or (window is not None and window > 0 and not kinds)


def _exact(plan: ExportPlan, model: Any, names: tuple[str, ...], attention: str | None) -> Answering:
    """Make a model faster, and return how it answers many texts as it did before.

    Raises :class:`AccelerationError` for a model that does not answer texts, or not twice the same.
    """
    tried = take(plan.samples, probes(plan.samples))
    engine = _Asked(plan, type(model).__name__, Engine(model))
    truth = one_by_one(engine, tried, names)
    for each in truth:
        if not np.isfinite(each).all():
            raise AccelerationError(f"{plan.model}: {_BROKEN}")
    accelerate_answers(model)
    if attention is not None:
        with contextlib.suppress(ValueError):  # a model that has no such choice stays as it is
            model.set_attn_implementation(attention)
    way = find_way(engine, tried, names, truth)
    if way is None:
        raise AccelerationError(
            f"{plan.model}: {type(model).__name__} does not answer the same text twice in the same way; "
            "an export cannot be compared with it, use it in PyTorch"
        )
    return Answering(engine, names, way)


def _check_original(plan: ExportPlan, compared: Comparison) -> None:
    """Raise :class:`AccelerationError` if there is nothing to compare with, and warn if it shows little."""
    if compared.broken:
        raise AccelerationError(
            f"{plan.model}: {_BROKEN} ({compared.broken:,} of {len(plan.samples.rows):,} texts)"
        )
    if compared.alike and len(plan.samples.rows) > 1:
        _log.warning(
            "%s: the original gives the same answer to all %d texts of %s; that the export gives it, too, "
            "says little. Is the model trained?",
            plan.model,
            len(plan.samples.rows),
            plan.texts,
        )


def _check_record(plan: ExportPlan, record: Record, exact: Answering, engine: Any) -> None:
    """See that loading will take what is written, and that texts may be answered together.

    Raises :class:`AccelerationError`.
    """
    apart = apart_on_record(record, engine)
    if apart > TOLERANCES[record.precision]:
        raise _differs(plan, f"short texts of {plan.texts}", apart, "")
    if exact.way != "padded" or not record.rows:
        return
    longest_row = max(plan.samples.rows, key=lambda row: len(row["input_ids"]))
    rows = [record.rows[0], record.rows[-1], longest_row]
    lengths = [len(row["input_ids"]) for row in rows]
    inputs = together(rows, plan.samples, exact.names)
    found = whole(engine({name: inputs[name] for name in record.inputs}))
    truth = whole(exact.engine(inputs))
    comparison = Comparison(record.scale)
    for at, length in enumerate(lengths):
        comparison.add(
            own_rows(found[at], length, plan.samples.side), own_rows(truth[at], length, plan.samples.side)
        )
    if comparison.distance > _TOGETHER * TOLERANCES[record.precision]:
        apart = comparison.distance
        raise _PaddingError(str(_differs(plan, "texts that are padded and answered together", apart, "")))


def _differs(plan: ExportPlan, texts: str, apart: float, where: str) -> DifferentAnswersError:
    return DifferentAnswersError(
        f"{plan.model}: {plan.runtime.NAME} in {plan.precision} gives different answers from PyTorch on "
        f"{texts} (distance {apart:.3g}, allowed {TOLERANCES[plan.precision]:g}){where}; "
        "take another --precision, or more --texts like yours"
    )


def _gate(plan: ExportPlan, exact: Answering, names: tuple[str, ...]) -> Gate | None:
    if plan.judged is None or plan.max_drop is None:
        return None
    right = plan.right if plan.right is not None else exact.labels(plan.judged)
    return Gate([arrays(row, names) for row in plan.judged.rows], right, plan.max_drop)


def _drop(plan: ExportPlan, gate: Gate, exact: Answering, engine: Any) -> float:
    """Return what the budget is about. Raises :class:`AccelerationError` where it is not kept."""
    before = 1.0  # where the original's own answers are the right ones
    if plan.right is not None and plan.judged is not None:
        before = gate.share(exact.labels(plan.judged))
    drop = before - gate.share([int(engine(each)[0].argmax()) for each in gate.inputs])
    if drop > gate.max_drop:
        raise AccelerationError(
            f"{plan.model}: {plan.runtime.NAME} in {plan.precision} loses {100 * drop:.2f} points on "
            f"{len(gate.right):,} texts, allowed are {100 * gate.max_drop:g}; take another --precision, or "
            "--to openvino, which keeps layers that cost most as they are"
        )
    return drop


def _first_layer_apart(plan: ExportPlan, model: Any, samples: Sequence[Inputs]) -> str:
    """Name the first layer whose vectors differ more than is allowed, if that can be found out."""
    try:
        program = trace(model, plan.samples.rows[0], plan.longest, layers=True)
        with temporary_directory() as place:
            plan.runtime.write(program, place, plan.precision, samples)
            engine = plan.runtime.Engine(place, plan.precision)
            some = samples[:8]
            found = [[as_rows(each[0]) for each in engine(inputs)[1:]] for inputs in some]
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
    return [as_rows(each[0].numpy()) for each in output.hidden_states]
