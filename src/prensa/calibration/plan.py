"""Which texts a model is calibrated on, and what that takes: all that is known before a weight is read."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from prensa.calibration.streaming import Streaming, list_of_layers, moment_bytes, streaming_of
from prensa.checkpoint.kinds import Kind
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import ModelShape, load_config, model_shape
from prensa.checkpoint.task import task_of
from prensa.errors import DataError, DeviceError, SettingError
from prensa.progress import Progress, silent
from prensa.runtime.devices import choose_device
from prensa.runtime.processor import memory_limit
from prensa.runtime.text_vector import read_text_vector
from prensa.texts.batches import by_tokens
from prensa.texts.columns import sample
from prensa.texts.encoding import Encoded
from prensa.texts.library import COUNTED, Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer, longest
from prensa.wording import megabytes

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TEXTS = 256
"""Texts that go through the model. More make a result better by little: see ``docs/LOG.md``."""

FEWEST = 8

# Tokens of a calibration text; what is behind is more of the same.
_LONGEST = 256
# Tokens of a batch, padding included. Activations are kept for the way back, so a large model gets fewer.
_TOKENS, _FEW_TOKENS = 1024, 256
# Bytes of a model whose activations are large, too.
_LARGE = 1 << 29


@dataclass(frozen=True)
class CalibrationPlan:
    """The texts of a calibration. ``kind`` is None for a task that Prensa does not compare.

    ``encoded`` are the texts that go through the model, in ``batches`` of indices. ``counts`` says how often
    each token comes in all ``counted`` texts. ``memory`` are the bytes of the model in float32 and of
    its second moments; what one block computes for one batch comes on top. ``by_blocks`` says that this is
    too much for ``device``, so that it stays in main memory and a block is there only while it runs, and
    ``streaming`` that it is too much for main memory, too. ``account`` says what was read.

    Sums are made of each of ``slices`` and then of these, in order: wherever they are made, the same number
    of slices gives the same bytes.
    """

    path: Path
    kind: Kind | None
    source: str
    encoded: Encoded
    batches: Sequence[Sequence[int]]
    counts: Tensor
    counted: int
    device: str
    memory: int
    by_blocks: bool = False
    account: str = ""
    streaming: Streaming | None = None
    slices: int = 1

    @property
    def padding(self) -> int:
        """The id that rows are filled up with."""
        return self.encoded.fill["input_ids"]

    def tokens_of(self, indices: Iterable[int]) -> int:
        """Count the tokens of some texts, without padding."""
        return sum(self.encoded.lengths[index] for index in indices)

    def batches_of(self, number: int) -> Sequence[Sequence[int]]:
        """Return the batches of a slice, which are next to each other."""
        count = len(self.batches)
        return self.batches[number * count // self.slices : (number + 1) * count // self.slices]


def plan_calibration(
    path: Path,
    source: Source,
    *,
    library: Library,
    device: str | None = None,
    most: int | None = None,
    streams: bool = False,
    progress: Progress = silent,
) -> CalibrationPlan:
    """Read the texts and tokenize them. ``source.limit`` texts go through the model, 256 if None.

    With ``streams`` a model that takes more than ``most`` bytes of main memory (None: than there are) is
    calibrated layer by layer, on the processor.
    Raises :class:`~prensa.errors.DataError` for too few texts, :class:`~prensa.errors.DeviceError` for too
    little memory, and whatever reading texts and tokenizers raises.
    """
    count = source.limit
    if count is None:
        count = TEXTS
    if count < FEWEST:
        raise SettingError(f"`calibration_texts` must be at least {FEWEST}, found {count}")
    chosen_device = choose_device(device)
    check_names(path)
    config = load_config(path)
    tokenizer = load_tokenizer(path)
    task = task_of(config)
    texts = library.all_texts(source, task)
    if len(texts) < FEWEST:
        raise DataError(
            f"{texts.name}: {len(texts)} texts are too few to calibrate on, expected {FEWEST} or more; "
            "give more texts, or leave `texts` out for the built-in ones"
        )
    # All texts say how often a token comes, as a model reads them; a few shorter ones go through it.
    limit = longest(tokenizer, config, None)
    step = functools.partial(progress, "counting tokens")
    counted = library.encode(tokenizer, sample(texts, COUNTED), "embedding", limit, step)
    shorter = min(limit or _LONGEST, _LONGEST)
    encoded = library.encode(tokenizer, sample(texts, count), "embedding", shorter)
    kind = None
    if task is not None:
        kind = task.kind
    # What it cannot compute it refuses now, and not after the model was loaded.
    read_text_vector(path, kind)
    shape = model_shape(path)
    memory = _memory(shape)
    tokens_of_a_batch = _TOKENS
    if memory > _LARGE:
        tokens_of_a_batch = _FEW_TOKENS
    plan = CalibrationPlan(
        path=path,
        kind=kind,
        source=texts.name,
        encoded=encoded,
        batches=by_tokens(encoded.lengths, tokens_of_a_batch),
        counts=_counts(counted),
        counted=len(counted.rows),
        device=chosen_device,
        memory=memory,
        by_blocks=_goes_by_blocks(chosen_device, memory),
        account=texts.account,
    )
    return _in_main_memory(plan, shape, config, most, streams=streams)


def _in_main_memory(
    plan: CalibrationPlan, shape: ModelShape, config: PretrainedConfig, most: int | None, *, streams: bool
) -> CalibrationPlan:
    """Return the plan, layer by layer if the model does not fit. Raises :class:`DeviceError`."""
    available = memory_limit() if most is None else most
    # What fits on a GPU needs no main memory.
    if plan.memory <= available or not (plan.by_blocks or not plan.device.startswith("cuda")):
        return plan
    bound = "there are" if most is None else "`memory` allows"
    whole = f"{plan.path}: calibrating takes {_size(plan.memory)} of main memory, and {bound} "
    whole += _size(available)
    instead = "use a larger machine, or a recipe without calibration (`preset=int8`)"
    if not streams:
        raise DeviceError(f"{whole}; {instead}")
    layers, reason = list_of_layers(plan.path, shape)
    if reason:
        raise DeviceError(f"{whole}; layer by layer it cannot be calibrated: {reason}; {instead}")
    tokens = 0
    for batch in plan.batches:
        tokens += len(batch) * max(plan.encoded.lengths[index] for index in batch)
    streaming = streaming_of(layers, shape, config, tokens, available)
    if streaming.memory > available:
        raise DeviceError(f"{whole}; layer by layer calibrating takes {_size(streaming.memory)}; {instead}")
    return dataclasses.replace(plan, device="cpu", by_blocks=False, streaming=streaming)


def _size(nbytes: int) -> str:
    """Return bytes in words; of a small model they are no gigabytes."""
    return megabytes(nbytes) if nbytes < _LARGE else f"{nbytes / 1e9:.1f} GB"


def _counts(encoded: Encoded) -> Tensor:
    """Return how often each id comes, up to the largest of them."""
    ids = [row["input_ids"] for row in encoded.rows]
    tokens = np.concatenate(ids).astype(np.int64)
    return torch.from_numpy(np.bincount(tokens))


def _goes_by_blocks(device: str, memory: int) -> bool:
    """Whether a model is too large for a GPU."""
    if not device.startswith("cuda"):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return memory > free


def _memory(shape: ModelShape) -> int:
    """Return the bytes of the weights in float32 and of a second moment for each matrix."""
    nbytes = 0
    for name, parameter in shape.parameters.items():
        # A tied one is another's memory.
        if name in shape.tied:
            continue
        nbytes += 4 * math.prod(parameter.shape) + moment_bytes(parameter)
    return nbytes
