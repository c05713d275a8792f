"""Write a model for another runtime, and check that it gives the same answers there."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint import companions
from prensa.checkpoint.directory import hidden_beside, replacing
from prensa.errors import DataError, DifferentAnswersError
from prensa.progress import Progress, silent
from prensa.runtime.deberta import projecting
from prensa.runtime.torch import load_on
from prensa.serving.costs import Step, steps_back
from prensa.serving.exact import PLAIN, NamedEngine, check_comparable, exact_answering
from prensa.serving.exported import Inputs, Record, arrays
from prensa.serving.facts import learn
from prensa.serving.going_back import bits_after, fewest, most_steps
from prensa.serving.layers import layers_of
from prensa.serving.plan import ExportPlan, plan_export
from prensa.serving.program import Program, input_names, trace
from prensa.serving.quantized_share import Written
from prensa.serving.recording import Compared, compare
from prensa.serving.verify import PaddingError, check_distance, check_record, explained
from prensa.serving.ways import InBatches
from prensa.sharing import building

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["ExportPlan", "plan_export", "run_export"]

Approve = Callable[[Path, Record], Record]
"""Takes the finished export, not yet in its place, and its record; adds to that, or raises to end it."""

# The model loaded, its graph, the runtime's files, the answers compared, all written.
_STEPS = 5


def _silent(done: int, total: int) -> None:
    """Report nothing."""


def run_export(plan: ExportPlan, progress: Progress = silent, approve: Approve | None = None) -> Record:
    """Fold, trace, convert, write, and compare with PyTorch in float32.

    ``approve`` sees the finished directory before it is renamed into place: it returns the record with what
    it has found, and what it raises ends the export. Raises :class:`ModelError` for a model that cannot be
    exported, and :class:`DifferentAnswersError` where the answers are farther apart than the precision
    allows, or not approved, although the layers that cost most went back to more bits. After any error
    nothing was written.
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
    making = _making(plan, progress, approve, attention)
    with replacing(plan.output, force=plan.force) as directory:
        try:
            record = making.make(directory, (), step)
        except DifferentAnswersError as error:
            # With another attention that may be mended without a layer in float.
            if isinstance(error, PaddingError) and attention != PLAIN:
                raise
            record = _with_layers_back(making, directory, error)
    step(_STEPS, _STEPS)
    return record


@dataclass(frozen=True)
class _Making:
    """All that stays the same from one try to the next.

    ``samples`` are the texts as inputs of the graph ``program``, and ``exact`` answers them in PyTorch.
    """

    plan: ExportPlan
    progress: Progress
    approve: Approve | None
    model: PreTrainedModel
    exact: InBatches
    program: Program
    samples: Sequence[Inputs]

    def make(
        self, directory: Path, back: Sequence[Step], step: Callable[[int, int], None] = _silent
    ) -> Record:
        """Write the export, with layers that went ``back`` to more bits, and check it.

        Raises :class:`DifferentAnswersError` where it does not keep what it must.
        """
        plan = self.plan
        step(2, _STEPS)
        written = plan.runtime.write(self.program, directory, plan.precision, self.samples, bits_after(back))

        step(3, _STEPS)
        loaded = plan.runtime.Engine(directory, plan.precision)
        engine = NamedEngine(plan.model, plan.runtime.NAME, loaded)
        compared = compare(engine, self.program.inputs, self.exact, plan.samples)
        if not back:
            check_comparable(plan, compared.total)
        check_distance(plan, compared.total.distance)

        step(4, _STEPS)
        record = self._record(compared)
        if written.share is not None:
            record = dataclasses.replace(record, share=written.share.ratio, back=_names(back, written))
        check_record(plan, record, self.exact, engine)
        return self._finished(record, directory)

    def _finished(self, record: Record, directory: Path) -> Record:
        """Write what stands beside the graph, and ask for approval."""
        plan = self.plan
        record.save(directory)
        _write_companions(plan, self.model, directory)
        if plan.layout is not None:
            plan.layout.arrange(directory, record)
        # Last: what the old directory has beyond the new one is linked, and must not be written to.
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
        # Of all files that loading will see.
        record = dataclasses.replace(record, known=learn(directory))
        record.save(directory)
        if self.approve is not None:
            # Approving may load the export, so the record is there by then, and is written once more.
            record = self.approve(directory, record)
            record.save(directory)
        return record

    def _record(self, compared: Compared) -> Record:
        plan = self.plan
        rows = []
        answers = []
        for index in compared.kept(plan.samples):
            rows.append(plan.samples.rows[index])
            answers.append(compared.answer(index))
        return Record(
            runtime=plan.runtime.NAME,
            precision=plan.precision,
            inputs=self.program.inputs,
            output=self.program.outputs[0],
            longest=plan.longest,
            texts=plan.texts,
            difference=compared.total.distance,
            rows=tuple(rows),
            answers=tuple(answers),
            scale=compared.total.scale,
            is_paddable=self.exact.way == "padded",
        )


def _making(plan: ExportPlan, progress: Progress, approve: Approve | None, attention: str | None) -> _Making:
    """Load the model, and trace it."""
    texts = plan.samples
    some_row = texts.rows[0]
    model = load_on(plan.model, torch.float32, "cpu", texts.fill["input_ids"])
    names = input_names(model, some_row)
    exact = exact_answering(plan, model, names, attention)

    progress("exporting", 1, _STEPS)
    in_graph = projecting(model) if plan.runtime.PROJECTS else contextlib.nullcontext()
    with in_graph:
        program = trace(model, some_row, plan.longest)
    samples = [arrays(row, program.inputs) for row in texts.rows]
    return _Making(plan, progress, approve, model, exact, program, samples)


def _with_layers_back(making: _Making, directory: Path, error: DifferentAnswersError) -> Record:
    """Make an export that keeps what it must with as few layers as possible in more bits.

    ``error`` says what was lost without. It is raised where no export keeps it, and in precisions whose
    layers have no more bits to go back to.
    """
    plan = making.plan
    bits = plan.runtime.BITS.get(plan.precision)
    if bits is None:
        raise explained(plan, error, making.model, making.samples) from error
    layers = layers_of(making.program.graph)
    steps = steps_back(making.program, layers, bits, making.samples, making.progress)
    most = most_steps(steps, layers)
    records: dict[int, Record] = {}
    tries = 2 * most.bit_length()
    tried: list[int] = []

    def holds(count: int) -> bool:
        making.progress("putting layers back", len(tried), max(tries, len(tried)))
        tried.append(count)
        # Hidden beside the output, so that moving it costs nothing.
        with hidden_beside(plan.output) as trial:
            try:
                records[count] = making.make(trial, steps[:count])
            # The latter where the texts cannot tell, which is no reason to take it.
            except (DifferentAnswersError, DataError):
                return False
            _move(trial, directory)
        return True

    count = fewest(holds, most)
    if count is None:
        known = explained(plan, error, making.model, making.samples)
        raise DifferentAnswersError(f"{known}; {_no_help(steps[:most])}") from error
    return records[count]


def _names(back: Sequence[Step], written: Written) -> dict[str, int]:
    """Return the bits of the layers that went back, by name, of those that the runtime found in its graph."""
    bits = bits_after(back)
    names: dict[str, int] = {}
    for step in back:
        if step.layer.digest in written.back:
            names[step.layer.name] = bits[step.layer.digest]
    return names


def _no_help(steps: Sequence[Step]) -> str:
    if not steps:
        return "no layer can go back to more bits without most of the model"
    return f"putting the {len(bits_after(steps))} most costly layers back to more bits does not help"


def _move(trial: Path, directory: Path) -> None:
    """Put what is in one directory in the place of all that is in another."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in trial.iterdir():
        path.rename(directory / path.name)


def _write_companions(plan: ExportPlan, model: PreTrainedModel, directory: Path) -> None:
    """Write what stands beside the runtime's files: config and tokenizer."""
    companions.write_config(directory, model.config.to_dict(), None, None)
    companions.copy_companions(plan.model, directory)
