"""The loop of a distillation: the Trainer of ``transformers`` with another loss, and a watch beside it.

Steps, precision, processes and checkpoints are the library's own. The watch ends training by time or steps,
measures what is kept apart, keeps the best weights, and reports how far it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from prensa.distilling.best import Best, new_record
from prensa.distilling.lessons import Lessons, only
from prensa.distilling.loggers import loggers
from prensa.distilling.loss import distances, relative_squares
from prensa.distilling.pace import Pace, agreed
from prensa.distilling.plan import DistillPlan
from prensa.distilling.teaching import Answers, Reader, Teacher
from prensa.progress import Progress
from prensa.runtime.processor import MULTIPLIES_BF16, has

# How much vectors between the layers count beside the answers. They say something about every token, and
# so each batch says nearly the same: at 10 a DeBERTa without a third of its products came from 0.113 nats to
# 0.086 in 100 steps, at 1 to 0.094 with the same rate, and its vectors were closer by a tenth.
_OF_VECTORS = 10.0
# The share of the time after which the texts kept apart are read again, and how much time that may take.
_LOOK, _LOOKING = 0.1, 0.1
_HAIR = 1e-9
# Seconds from one checkpoint to the next.
_SAVE = 120.0
# More than any time allows: the watch ends training before.
_NEVER = 10**9


@dataclass(frozen=True)
class Class:
    """Who learns what from whom."""

    plan: DistillPlan
    student: PreTrainedModel
    reader: Reader
    teacher: Teacher
    apart: Lessons

    def loss(self, number: int, batch: dict[str, Tensor], call: nn.Module) -> Tensor:
        """Return what gradients are taken of: how far answers are away, and vectors."""
        ours, theirs = self._both(number, batch, call)
        loss = self._distances(ours, theirs).mean()
        if not theirs.vectors:
            return loss
        squares = [
            relative_squares(own, other.float())
            for own, other in zip(ours.vectors, theirs.vectors, strict=True)
        ]
        return loss + _OF_VECTORS * torch.stack(squares).mean()

    @torch.no_grad()
    def loss_apart(self) -> float:
        """Return how far answers to the texts kept apart are away, without the vectors behind them."""
        total, rows = 0.0, 0
        for index in range(len(self.apart)):
            device = self.student.device
            batch = {name: each.to(device) for name, each in self.apart.batch(index).items()}
            ours, theirs = self._both(self.apart.first + index, batch, self.student)
            apart = self._distances(ours, theirs)
            total += float(apart.double().sum())
            rows += len(apart)
        # The same weights may give another last digit in another process.
        return agreed(total / rows)

    def _both(self, number: int, batch: dict[str, Tensor], call: nn.Module) -> tuple[Answers, Answers]:
        """Return the student's answers and the teacher's."""
        # Answers without dropout are what is learnt from, and a student without it comes closer to them.
        self.student.eval()
        device = self.student.device.type
        # Weights stay in float32, and so does what the loss is computed from.
        with torch.autocast(device, torch.bfloat16, enabled=_in_half(device)):
            ours = self.reader.read(self.student, batch, call)
            theirs = self.teacher.answers(number, batch)
        return ours, theirs

    def _distances(self, ours: Answers, theirs: Answers) -> Tensor:
        return distances(ours.outputs, theirs.outputs, theirs.measure, self.teacher.scale)


class DistillTrainer(Trainer):  # type: ignore[misc]
    """Trains by a class's loss, at the pace that is given."""

    def __init__(
        self, given: Class, lessons: Lessons, pace: Pace, watch: Watch, arguments: TrainingArguments
    ) -> None:
        self.given = given
        self.pace = pace
        self.watch = watch
        super().__init__(
            given.student,
            arguments,
            data_collator=only,
            train_dataset=lessons,
            callbacks=[watch],
        )
        # It prints what is logged.
        self.remove_callback(PrinterCallback)
        # The loss is computed here, so it is for the Trainer to divide it among batches of one step.
        self.model_accepts_loss_kwargs = False

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor | int], **_others: object) -> Tensor:
        """Return the loss of a batch, by the class."""
        batch: dict[str, Tensor] = {}
        number = 0
        for name, value in inputs.items():
            if isinstance(value, Tensor):
                batch[name] = value
            else:
                number = value
        return self.given.loss(number, batch, model)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the loggers also what was last found on the texts kept apart."""
        super().log({**logs, "loss_apart": self.watch.loss}, start_time)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """Have the learning rate follow the pace."""
        pace = self.pace
        # A function, since of any other object its state would be written into checkpoints.
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda _step: pace.factor())
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        """Write the weights that change, under the names that they have here.

        ``save_pretrained`` writes those of the hub, by a config that need not fit a model with fewer parts.
        """
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        weights: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                weights[name] = parameter.detach().contiguous()
        save_file(weights, folder / "model.safetensors")


class Watch(TrainerCallback):  # type: ignore[misc]
    """Stands beside the loop. ``saves`` says that checkpoints are wanted, and ``of`` whose they are."""

    def __init__(
        self, given: Class, pace: Pace, best: Best, progress: Progress, *, of: str, saves: bool
    ) -> None:
        self.best = best
        self.before = best.loss
        self.step = 0
        self.is_broken = False
        self._given = given
        self._pace = pace
        self._progress = progress
        self._of = of
        self._saves = saves
        self.loss = best.loss
        self._next_look = self._later(0.0)
        self._next_save = pace.spent + _SAVE

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """See how much is over, before the learning rate of the next step follows from it."""
        self._pace.read(state.global_step + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Look at what is kept apart if it is time to, and stop or save."""
        self.step = state.global_step
        if self._pace.is_over or self._pace.share >= self._next_look:
            self._look()
        if self._pace.is_over or self.is_broken:
            control.should_training_stop = True
        if self._saves and (self._pace.is_over or self._pace.spent >= self._next_save):
            control.should_save = True
            self._next_save = self._pace.spent + _SAVE
        if state.is_world_process_zero:
            self._progress(f"distilling (loss {self.loss:.3g})", *self._pace.done())

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Write the best weights beside the Trainer's own."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        over = self._pace.is_over
        record = new_record(self._of, self.step, self._pace.spent, self.before, self.best, is_over=over)
        self.best.write(folder, record)

    def _look(self) -> None:
        start = time.perf_counter()
        self.loss = self._given.loss_apart()
        # From weights that are no numbers nothing comes back.
        self.is_broken = not math.isfinite(self.loss)
        self.best.offer(self._given.student, self.loss, self.step)
        self._next_look = self._later(time.perf_counter() - start)

    def _later(self, took: float) -> float:
        """Return at which share to look next, where a look has taken so many seconds."""
        share = self._pace.share
        if self._pace.steps is not None:
            # On a grid, so that what was stopped and goes on looks where it would have: same steps, same
            # bytes. A share may be a hair below its multiple.
            return (math.floor(share / _LOOK + _HAIR) + 1) * _LOOK
        # Of a short time most would go into looking.
        return share + max(_LOOK, agreed(took) / self._pace.seconds / _LOOKING)


def frozen_tables(model: PreTrainedModel) -> Sequence[nn.Parameter]:
    """Return the weights that stay as they are: the table of the vectors of tokens.

    Shrinking takes nothing away from it, and a few minutes of texts meet few of its tokens, whose vectors
    would move away from all others. It also is most of what an optimizer would go through in every step: a
    small DeBERTa's steps of 2,048 tokens take 15 % less time without it in float32.
    """
    table = model.get_input_embeddings()
    if table is None:
        return []
    return list(table.parameters())


def _in_half(device: str) -> bool:
    """Whether products are computed in bfloat16: with AMX a small DeBERTa learns 1.4 times as fast."""
    if device == "cuda":
        supported: bool = torch.cuda.is_bf16_supported()
        return supported
    return device == "cpu" and has(MULTIPLIES_BF16)


def arguments_of(plan: DistillPlan, place: Path, *, on_processor: bool) -> TrainingArguments:
    """Return the Trainer's settings: nothing said but to loggers, nothing saved unless the watch asks for it.

    From here on several processes, if there are several, can talk to each other.
    """
    told = loggers()
    arguments = TrainingArguments(
        output_dir=str(place),
        # A batch is one item of the data set.
        per_device_train_batch_size=1,
        gradient_accumulation_steps=plan.accumulate,
        max_steps=plan.steps or _NEVER,
        learning_rate=plan.learning_rate,
        weight_decay=0.0,
        seed=plan.seed,
        use_cpu=on_processor,
        # Without an accelerator PyTorch warns that it does nothing.
        dataloader_pin_memory=not on_processor,
        remove_unused_columns=False,
        # A step takes seconds, so that each is worth a line where anybody reads them.
        logging_strategy="steps" if told else "no",
        logging_steps=1,
        save_strategy="no",
        eval_strategy="no",
        # Two, since the older one goes before the newer one's record is written.
        save_total_limit=2,
        report_to=told or "none",
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
    )
    # Several GPUs in one process would share a batch, which is one item; torchrun has a process for each.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # noqa: SLF001
    return arguments
