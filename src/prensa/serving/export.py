"""Write a model for another runtime, and check that it gives the same answers there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint import companions
from prensa.checkpoint.directory import replacing
from prensa.isolation import building
from prensa.progress import Progress, silent
from prensa.runtime.deberta import projecting
from prensa.runtime.torch import load_on
from prensa.serving.exact import PLAIN, NamedEngine, check_comparable, exact_answering
from prensa.serving.exported import Gate, Record, arrays
from prensa.serving.facts import learn
from prensa.serving.plan import ExportPlan, Judged, plan_export
from prensa.serving.program import Program, input_names, trace
from prensa.serving.recording import Compared, compare
from prensa.serving.verify import PaddingError, check_distance, check_record

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["ExportPlan", "Judged", "plan_export", "run_export"]

Approve = Callable[[Path], float | None]
"""Takes the finished export, not yet in its place; returns the record's ``drop``, or raises to end it."""

# The model loaded, its graph, the runtime's files, the answers compared, all written.
_STEPS = 5


def run_export(plan: ExportPlan, progress: Progress = silent, approve: Approve | None = None) -> Record:
    """Fold, trace, convert, write, and compare with PyTorch in float32.

    ``approve`` sees the finished directory before it is renamed into place: what it returns is the record's
    ``drop``, and what it raises ends the export. Raises :class:`ModelError` for a model that cannot be
    exported, and :class:`DifferentAnswersError` where the answers are farther apart than the precision
    allows. After any error nothing was written.
    """
    # One export runs at a time: exporters change the process while they work.
    with building():
        try:
            return _run(plan, progress, approve, plan.runtime.ATTENTION)
        except PaddingError:
            if plan.runtime.ATTENTION == PLAIN:
                raise
            # Fused kernels may differ from PyTorch's where a text is padded; plain products do not.
            return _run(plan, progress, approve, PLAIN)


def _run(plan: ExportPlan, progress: Progress, approve: Approve | None, attention: str | None) -> Record:
    """Export with an implementation of attention, None for the model's own."""
    step = partial(progress, "exporting")
    step(0, _STEPS)
    texts = plan.samples
    some_row = texts.rows[0]
    model = load_on(plan.model, torch.float32, "cpu", texts.fill["input_ids"])
    names = input_names(model, some_row)
    exact = exact_answering(plan, model, names, attention)

    step(1, _STEPS)
    in_graph = projecting(model) if plan.runtime.PROJECTS else contextlib.nullcontext()
    with in_graph:
        program = trace(model, some_row, plan.longest)
    samples = [arrays(row, program.inputs) for row in texts.rows]
    gate = _gate(plan.judged, program.inputs)

    step(2, _STEPS)
    with replacing(plan.output, force=plan.force) as directory:
        plan.runtime.write(program, directory, plan.precision, samples, gate)

        step(3, _STEPS)
        loaded = plan.runtime.Engine(directory, plan.precision)
        engine = NamedEngine(plan.model, plan.runtime.NAME, loaded)
        compared = compare(engine, program.inputs, exact, texts)
        check_comparable(plan, compared.total)
        check_distance(plan, compared.total.distance, model, samples)

        step(4, _STEPS)
        record = _record(plan, program, compared, is_paddable=exact.way == "padded")
        check_record(plan, record, exact, engine)
        record.save(directory)
        _write_companions(plan, model, directory)
        if plan.layout is not None:
            plan.layout.arrange(directory, record)
        # Last: what the old directory has beyond the new one is linked, and must not be written to.
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
        # Of all files that loading will see.
        record = dataclasses.replace(record, known=learn(directory))
        record.save(directory)
        if approve is not None:
            # Approving may load the export, so the record is there by then, and gets its drop afterwards.
            drop = approve(directory)
            record = dataclasses.replace(record, drop=drop)
            record.save(directory)
    step(_STEPS, _STEPS)
    return record


def _gate(judged: Judged | None, names: tuple[str, ...]) -> Gate | None:
    if judged is None:
        return None
    inputs = [arrays(row, names) for row in judged.encoded.rows]
    return Gate(inputs, judged.right, judged.max_drop)


def _record(plan: ExportPlan, program: Program, compared: Compared, *, is_paddable: bool) -> Record:
    rows = []
    answers = []
    for index in compared.kept(plan.samples):
        rows.append(plan.samples.rows[index])
        answers.append(compared.answer(index))
    return Record(
        runtime=plan.runtime.NAME,
        precision=plan.precision,
        inputs=program.inputs,
        output=program.outputs[0],
        longest=plan.longest,
        texts=plan.texts,
        difference=compared.total.distance,
        rows=tuple(rows),
        answers=tuple(answers),
        scale=compared.total.scale,
        is_paddable=is_paddable,
    )


def _write_companions(plan: ExportPlan, model: PreTrainedModel, directory: Path) -> None:
    """Write what stands beside the runtime's files: config and tokenizer."""
    companions.write_config(directory, model.config.to_dict(), None, None)
    companions.copy_companions(plan.model, directory)
