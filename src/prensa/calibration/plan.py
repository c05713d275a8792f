"""Which texts a model is calibrated on, and what that takes: all that is known before a weight is read."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import ModelShape, load_config, model_shape
from prensa.checkpoint.task import Kind, Task, task_of
from prensa.errors import CalibrationError
from prensa.ops import moment
from prensa.progress import Progress, silent
from prensa.runtime.devices import choose_device
from prensa.runtime.text_vector import read_text_vector
from prensa.texts.columns import Texts, built_in_texts, read_texts, sample
from prensa.texts.encoding import Encoded, encode, load_tokenizer, longest

TEXTS = 256
"""Texts that go through the model. More make a result better by little: see ``docs/LOG.md``."""

FEWEST = 8
_LONGEST = 256  # pieces of a calibration text; what is behind is more of the same
_COUNTED = 200_000  # texts whose pieces are counted
_PIECES, _FEW_PIECES = 1024, 256  # of a batch, padding included: activations are kept for the way back
_LARGE = 1 << 29  # bytes of a model whose activations are large, too
_MATRIX = 2  # dimensions


@dataclass(frozen=True)
class CalibrationPlan:
    """The texts of a calibration. ``kind`` is None for a task that Prensa does not compare.

    ``encoded`` are the texts that go through the model, in ``batches`` of indices. ``counts`` says how often
    each piece comes in all ``counted`` texts. ``memory`` are the bytes of the model in float32 and of
    its second moments; what one block computes for one batch comes on top. ``by_blocks`` says that this is
    too much for ``device``, so that it stays in main memory and a block is there only while it runs.
    ``account`` says what was read.
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


def plan_calibration(
    path: Path,
    source: str | None = None,
    *,
    text_column: str | None = None,
    split: str | None = None,
    count: int = TEXTS,
    device: str | None = None,
    progress: Progress = silent,
    encoding: str | None = None,
) -> CalibrationPlan:
    """Read the texts and cut them into pieces. ``source`` is None for the built-in texts.

    Raises :class:`CalibrationError` where there are too few texts or too little memory, and whatever reading
    texts and tokenizers raises.
    """
    if count < FEWEST:
        raise CalibrationError(f"--calibration-texts must be at least {FEWEST}, found {count}")
    chosen = choose_device(device)
    check_names(path)
    config = load_config(path)
    tokenizer = load_tokenizer(path)
    texts = texts_to_calibrate_on(source, text_column, split, encoding)
    if len(texts) < FEWEST:
        raise CalibrationError(
            f"{texts.name}: {len(texts)} texts are too few to calibrate on, expected {FEWEST} or more; "
            "give more texts, or leave --texts out for the built-in ones"
        )
    limit = longest(tokenizer, config, None)
    step = functools.partial(progress, "counting pieces")
    all_rows = encode(tokenizer, sample(texts, _COUNTED), "embedding", limit, step).rows
    pieces = np.concatenate([row["input_ids"] for row in all_rows]).astype(np.int64)
    shorter = min(limit or _LONGEST, _LONGEST)
    encoded = encode(tokenizer, sample(texts, count), "embedding", shorter)
    task = task_of(config)
    read_text_vector(path, task.kind if task else None)  # what it cannot compute it refuses now
    memory = _memory(model_shape(path))
    by_blocks = chosen.startswith("cuda") and memory > torch.cuda.mem_get_info(chosen)[0]
    if by_blocks or not chosen.startswith("cuda"):
        _check_memory(path, memory)
    return CalibrationPlan(
        path=path,
        kind=task.kind if task else None,
        source=texts.name,
        encoded=encoded,
        batches=_batches(encoded.lengths, _FEW_PIECES if memory > _LARGE else _PIECES),
        counts=torch.from_numpy(np.bincount(pieces)),
        counted=len(all_rows),
        device=chosen,
        memory=memory,
        by_blocks=by_blocks,
        account=texts.account,
    )


def texts_to_calibrate_on(
    source: str | None, text_column: str | None, split: str | None, encoding: str | None = None
) -> Texts:
    """Read texts without labels, the built-in ones where ``source`` is None.

    Raises :class:`CalibrationError` where those are asked for a column, a split or an encoding.
    """
    if source is None:
        options = {"--text-column": text_column, "--split": split, "--encoding": encoding}
        for option, value in options.items():
            if value is not None:
                raise CalibrationError(f"{option} {value} needs --texts: the built-in texts have none")
        return built_in_texts()
    return read_texts(
        source, Task("embedding"), text_column=text_column, label_column="", split=split, encoding=encoding
    )


def _batches(lengths: Sequence[int], pieces: int) -> list[list[int]]:
    """Put texts of like length together, the longest first: lists of indices of about as many pieces each."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    while order:
        size = max(1, pieces // max(1, lengths[order[0]]))
        batches.append(order[:size])
        order = order[size:]
    return batches


def _memory(shape: ModelShape) -> int:
    own = {name: each for name, each in shape.parameters.items() if name not in shape.tied}
    weights = sum(int(np.prod(each.shape, dtype=np.int64)) for each in own.values())
    columns = [
        each.shape[0] if each.layer == "Conv1D" else each.shape[1]
        for each in own.values()
        if len(each.shape) == _MATRIX
    ]
    return 4 * weights + sum(map(moment.nbytes, columns))


def _check_memory(path: Path, needed: int) -> None:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise CalibrationError(
            f"{path}: calibrating takes {needed / 1e9:.1f} GB of main memory, and there are "
            f"{there / 1e9:.1f} GB; use a larger machine, or a recipe without calibration (--preset int8)"
        )
