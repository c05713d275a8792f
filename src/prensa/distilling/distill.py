"""A shrunk model learns its original's answers on texts without labels (Hinton, Vinyals and Dean 2015).

What the student is compared by: its answers, whatever its task, and the vectors of tokens after the layers
that it still has. Which weights win is decided by answers to texts that it does not learn from.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from prensa.distilling.best import Best, Record, fingerprint, last_checkpoint
from prensa.distilling.lessons import lessons_of
from prensa.distilling.pace import Pace
from prensa.distilling.plan import DistillPlan, plan_distillation
from prensa.distilling.teaching import Reader, Teacher, answering, check_pairs
from prensa.errors import ModelError
from prensa.extras import require
from prensa.files.temporary import temporary_directory
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector

__all__ = ["DistillPlan", "Distilled", "distill", "plan_distillation"]


@dataclass(frozen=True)
class Distilled:
    """What came of it. A plan with these ``steps`` does without a clock what was done here by one.

    Losses are those on texts kept apart: divergences from the teacher in nats for classes, tokens and
    labels, shares of the teacher's variance or mean square for numbers and vectors. ``loss_after`` is that of
    the weights that were kept, those after ``best_step``. ``texts`` were learnt from, ``stopped`` says that
    Ctrl-C ended it early, ``broken`` that the loss stopped being a number.
    """

    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    best_step: int
    texts: int
    stopped: bool
    broken: bool = False


def distill(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    plan: DistillPlan,
    progress: Progress = silent,
    pairs: Sequence[tuple[int, int]] = (),
    place: Path | None = None,
    only: Collection[nn.Parameter] | None = None,
) -> Distilled:
    """Train ``student`` in place until it answers as ``teacher`` does, as far as time allows.

    Both are on one device, the student in float32. ``pairs`` are numbers of a student's layer and of the
    teacher's layer whose outputs ``[texts, tokens, size]`` it is to have. With a directory as ``place`` a
    checkpoint is written there about every two minutes, and one that lies there is gone on from; whoever gave
    the directory removes it. ``only`` are the weights that learn, all but the table of tokens if None. Ctrl-C
    ends training with the best weights so far, and so does a loss that is no number.

    Raises :class:`~prensa.errors.MissingPackageError` without ``accelerate``,
    :class:`~prensa.errors.ModelError` for models that do not fit each other or the plan, and
    :class:`~prensa.errors.FormatError` for a checkpoint that is damaged or of another distillation.
    """
    require("distill", "distilling")
    # What it brings takes a second to import, and only here it is needed.
    from prensa.distilling.undisturbed import undisturbed

    _check(student)
    check_pairs(student, teacher, pairs)
    with ExitStack() as stack:
        stack.enter_context(undisturbed())
        stack.enter_context(answering(teacher))
        stack.enter_context(_learning(student, only))
        of, found = "", None
        if place is not None:
            of = fingerprint(plan, student, pairs)
            found = last_checkpoint(place, of)
        else:
            place = stack.enter_context(temporary_directory())
        return _Run(student, teacher, plan, progress, pairs, place).carry_out(of, found)


@dataclass(frozen=True)
class _Run:
    """What :func:`distill` was given."""

    student: PreTrainedModel
    teacher: PreTrainedModel
    plan: DistillPlan
    progress: Progress
    pairs: Sequence[tuple[int, int]]
    place: Path

    def carry_out(self, of: str, found: tuple[Path, Record] | None) -> Distilled:
        """Train, from the checkpoint that was ``found`` if there is one. An empty ``of`` leaves none."""
        from prensa.distilling.trainer import Class, DistillTrainer, Watch, arguments_of

        plan, student = self.plan, self.student
        # First of all: what each process measures by itself would part them, and each has its own device.
        on_processor = student.device.type == "cpu"
        arguments = arguments_of(plan, self.place, on_processor=on_processor)
        student.to(arguments.device)
        self.teacher.to(arguments.device)
        masked = plan.kind == "masked"
        lessons, apart = lessons_of(plan.encoded, plan.batch_tokens, plan.seed, plan.seconds, masked=masked)
        spent, step = 0.0, 0
        if found is not None:
            spent, step = found[1].seconds, found[1].step
        # From here on time counts, reading what is kept apart included.
        pace = Pace(plan.seconds, plan.steps, spent, step)
        self.progress("distilling", *pace.done())
        pool = read_text_vector(plan.path, plan.kind)
        own_layers = tuple(own for own, _ in self.pairs)
        their_layers = tuple(other for _, other in self.pairs)
        teaching = Teacher(self.teacher, Reader(plan.kind, pool, their_layers))
        teaching.look_at(apart)
        given = Class(plan, student, Reader(plan.kind, pool, own_layers), teaching, apart)
        start = time.perf_counter()
        best = Best(student, given.loss_apart())
        # At the end they are read once more, which is part of the time.
        pace.keep_free(time.perf_counter() - start)
        watch = Watch(given, pace, best, self.progress, of=of, saves=bool(of))
        checkpoint = None
        if found is not None:
            checkpoint, record = found
            best.read(checkpoint, record)
            watch.before, watch.step = record.loss_before, record.step
        stopped = False
        # A checkpoint that was written at the end leaves nothing to do.
        was_over = found is not None and found[1].is_over
        if not (pace.is_over or was_over):
            try:
                trainer = DistillTrainer(given, lessons, pace, watch, arguments)
                trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
            except KeyboardInterrupt:
                stopped = True
        best.restore(student)
        return Distilled(
            steps=watch.step,
            seconds=pace.spent,
            loss_before=watch.before,
            loss_after=best.loss,
            best_step=best.step,
            texts=lessons.texts,
            stopped=stopped,
            broken=watch.is_broken,
        )


@contextmanager
def _learning(student: PreTrainedModel, only: Collection[nn.Parameter] | None) -> Iterator[None]:
    """Have the weights that are to change take gradients; afterwards modes are as they were."""
    from prensa.distilling.trainer import frozen_tables

    was_training = student.training
    # The Trainer sets it.
    use_cache = getattr(student.config, "use_cache", None)
    before = [(parameter, parameter.requires_grad) for parameter in student.parameters()]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(only is None)
        for parameter in only or ():
            parameter.requires_grad_()
        if only is None:
            for parameter in frozen_tables(student):
                parameter.requires_grad = False
        yield
    finally:
        student.zero_grad(set_to_none=True)
        for parameter, needed in before:
            parameter.requires_grad_(needed)
        if use_cache is not None:
            student.config.use_cache = use_cache
        elif hasattr(student.config, "use_cache"):
            del student.config.use_cache
        student.train(was_training)


def _check(student: PreTrainedModel) -> None:
    """Raise :class:`ModelError` for weights that steps of this size would be lost in."""
    for name, parameter in student.named_parameters():
        if parameter.dtype != torch.float32:
            raise ModelError(
                f"{student.name_or_path}: {name} is {parameter.dtype}, and distilling needs float32; load "
                "the model with dtype=torch.float32"
            )
