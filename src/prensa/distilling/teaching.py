"""What a model says about a batch: its answers, and the vectors of tokens after some of its layers.

Student and teacher are read by the same code, with hooks on their layers: what a model itself returns as
hidden states has gone through a last normalization in some families, and through none in others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prensa.calibration.blocks import blocks_of
from prensa.calibration.objective import outputs_of, without_past
from prensa.checkpoint.kinds import Kind
from prensa.distilling.lessons import Lessons
from prensa.distilling.loss import Measure, measure_of, variance_of
from prensa.errors import ModelError
from prensa.runtime.accelerate import accelerate
from prensa.runtime.processor import memory_limit
from prensa.runtime.text_vector import TextVector
from prensa.sharing import building

# The share of the memory for answers that are kept, so that a batch is read once and not in every round.
_KEPT = 1 / 8


@dataclass(frozen=True)
class Answers:
    """``outputs`` ``[rows, size]`` are compared by ``measure``; rows are texts, tokens, or starts and ends.

    ``vectors`` ``[tokens, size]`` are those of real tokens after each layer that is compared.
    """

    outputs: Tensor
    vectors: tuple[Tensor, ...]
    measure: Measure

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers."""
        nbytes = self.outputs.nbytes
        for vectors in self.vectors:
            nbytes += vectors.nbytes
        return nbytes


@dataclass(frozen=True)
class Reader:
    """How a model is read: for a kind of task, with ``pool`` for its texts' vectors, after these layers."""

    kind: Kind | None
    pool: TextVector
    layers: tuple[int, ...]

    def read(self, model: PreTrainedModel, batch: Mapping[str, Tensor], call: nn.Module) -> Answers:
        """Return what ``model`` says, in float32. ``call`` is the model, or what it is wrapped in."""
        mask = batch["attention_mask"].bool()
        # Some models compute with the default dtype, which loading another one changes.
        with building(), _listening(model, self.layers) as heard:
            output = call(**batch, **without_past(model))
        vectors = [_of_tokens(heard[layer], mask) for layer in self.layers]
        if self.kind is None and hasattr(output, "start_logits"):
            return Answers(_spans(output, mask), tuple(vectors), "softmax")
        outputs = outputs_of(output, batch, self.kind, self.pool)
        # Where a text's vector is the answer, the vectors it was put together from are worth as much.
        if self.kind == "embedding":
            vectors.append(_of_tokens(output.last_hidden_state, mask))
        return Answers(outputs, tuple(vectors), measure_of(self.kind))


class Teacher:
    """The original, which answers and does not change. Its answers are kept while there is room."""

    def __init__(self, model: PreTrainedModel, reader: Reader, room: int | None = None) -> None:
        self.model = model
        self.reader = reader
        self.scale = 1.0
        if room is None:
            room = int(_memory(model.device) * _KEPT)
        self._room = room
        self._kept: dict[int, Answers] = {}

    @torch.no_grad()
    def answers(self, number: int, batch: Mapping[str, Tensor]) -> Answers:
        """Return the answers to a batch, from memory if it was there before."""
        if number in self._kept:
            return self._kept[number]
        # Not in inference mode: what is made there takes no part in gradients, not even as a constant.
        read = self.reader.read(self.model, batch, self.model)
        # In half the memory, also where they are not kept: what is learnt does not depend on the room. The
        # error is a thousandth of what a student is away from them.
        halved = tuple(vectors.bfloat16() for vectors in read.vectors)
        answers = Answers(read.outputs, halved, read.measure)
        if answers.nbytes <= self._room:
            self._room -= answers.nbytes
            self._kept[number] = answers
        return answers

    def look_at(self, lessons: Lessons) -> None:
        """Answer what is kept apart. Raises :class:`ModelError` for what is no number, or always the same."""
        numbers: list[Tensor] = []
        for index in range(len(lessons)):
            batch = {name: each.to(self.model.device) for name, each in lessons.batch(index).items()}
            answers = self.answers(lessons.first + index, batch)
            # Only numbers have a scale, and all predictions of a language model would fill the memory.
            if answers.measure == "numbers":
                numbers.append(answers.outputs)
            if not torch.isfinite(answers.outputs).all():
                raise ModelError(
                    f"{self.model.name_or_path}: gives no number (NaN or infinity) on a text to learn from; "
                    "use a model that works"
                )
        if numbers:
            self.scale = variance_of(numbers)


def _memory(device: torch.device) -> int:
    """Return the bytes that answers may take a share of, where they lie: on the device, or in main memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    return memory_limit()


@contextmanager
def answering(model: PreTrainedModel) -> Iterator[None]:
    """Have a model in its fastest form, without gradients; afterwards it is as it was."""
    was_training = model.training
    needed = [parameter for parameter in model.parameters() if parameter.requires_grad]
    acceleration = accelerate(model.eval())
    try:
        for parameter in needed:
            parameter.requires_grad_(requires_grad=False)
        yield
    finally:
        for parameter in needed:
            parameter.requires_grad_()
        # A caller who had folded it keeps it so.
        if acceleration.layers:
            acceleration.undo()
        model.train(was_training)


def check_pairs(student: PreTrainedModel, teacher: PreTrainedModel, pairs: Sequence[tuple[int, int]]) -> None:
    """Raise :class:`ModelError` for a layer that a model does not have."""
    counts = [len(blocks_of(model)) for model in (student, teacher)]
    for pair in pairs:
        for name, layer, count in zip(("student", "teacher"), pair, counts, strict=True):
            if not 0 <= layer < count:
                raise ModelError(
                    f"{teacher.name_or_path}: the {name} has {count} layers, found layer {layer} in a pair; "
                    f"expected 0 to {count - 1}"
                )


@contextmanager
def _listening(model: nn.Module, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Yield a dictionary in which what comes out of each layer is found once the model has run."""
    heard: dict[int, Tensor] = {}
    handles = []
    blocks: list[nn.Module] = []
    if layers:
        blocks = blocks_of(model)
    for layer in layers:
        hook = _Hook(heard, layer)
        handles.append(blocks[layer].register_forward_hook(hook))
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class _Hook:
    """Puts down what a layer returns: vectors, or a tuple that begins with them."""

    heard: dict[int, Tensor]
    layer: int

    def __call__(self, _module: nn.Module, _given: object, returned: Tensor | tuple[Tensor, ...]) -> None:
        if isinstance(returned, Tensor):
            self.heard[self.layer] = returned
        else:
            self.heard[self.layer] = returned[0]


def _of_tokens(vectors: Tensor, mask: Tensor) -> Tensor:
    """Return the vectors of real tokens in float32, ``[tokens, size]``."""
    # Some models take the padding out themselves.
    if vectors.shape[:2] == mask.shape:
        vectors = vectors[mask]
    return vectors.reshape(-1, vectors.shape[-1]).float()


def _spans(output: object, mask: Tensor) -> Tensor:
    """Return where answers start and end, ``[2 · texts, tokens]``; padding is never one."""
    ends: list[Tensor] = []
    for name in ("start_logits", "end_logits"):
        logits: Tensor = getattr(output, name).float()
        # Not infinity: a probability of 0 times it would be no number.
        ends.append(logits.masked_fill(~mask, torch.finfo(logits.dtype).min / 4))
    return torch.cat(ends)
