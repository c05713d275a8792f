"""A model served by PyTorch: folded where that is faster, in the dtype that is fast, or in 8-bit integers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch

from prensa.checkpoint.allowed import allowed, allowing
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.errors import DifferentAnswersError, ModelError, SettingError, first_line
from prensa.isolation import as_usual
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.devices import DTYPES
from prensa.runtime.int8 import multiply_in_int8, stored_integers
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.runtime.torch import load_on
from prensa.serving.distance import distance
from prensa.serving.exported import TOLERANCES, TORCH, Record
from prensa.serving.folding import pays_to_fold
from prensa.serving.padding import pads_alike
from prensa.serving.program import input_names, output_names
from prensa.serving.pytorch import Engine
from prensa.serving.served import Served
from prensa.serving.ways import one_by_one
from prensa.texts.columns import Texts, built_in_texts, sample
from prensa.texts.encoding import Encoded, encode, largest_id, padded_as
from prensa.texts.tokenizers import check_ids, embedding_rows, load_tokenizer, longest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INT8 = "int8"

Dtype: TypeAlias = str | torch.dtype
"""``int8``, the name of one of :data:`~prensa.runtime.devices.DTYPES`, or a dtype of PyTorch."""

# Built-in texts that answers are compared on, and of the caller's, whose lengths count.
_TEXTS = 8
_OWN_TEXTS = 200


def check_dtype(dtype: Dtype | None) -> None:
    """Raise :class:`SettingError` for a name that no dtype has."""
    if isinstance(dtype, str) and dtype not in {INT8, *DTYPES}:
        expected = ", ".join([*DTYPES, INT8])
        raise SettingError(f"`dtype={dtype}`: expected {expected}")


def as_torch_dtype(dtype: Dtype) -> torch.dtype:
    """Return the dtype of PyTorch that a name stands for, float32 for ``int8``: layers start from that."""
    if isinstance(dtype, torch.dtype):
        return dtype
    return DTYPES.get(dtype, torch.float32)


def serve_in_pytorch(
    directory: Path,
    device: str,
    dtype: Dtype | None,
    texts: Texts | None = None,
    *,
    folded: bool | None = None,
) -> Served:
    """Load a model to answer on a device; in bfloat16 where that is fast if ``dtype`` is None.

    It is ``folded`` where that is faster for texts as long as ``texts`` (the built-in ones). Unless the
    caller knows, that is measured, once a machine. Answers are compared on the built-in texts.

    Raises :class:`SettingError` for a dtype that does not exist or is not fast here, :class:`ModelError` for
    a model that does not answer texts alone, and :class:`DifferentAnswersError` where 8 bits lose too much.
    """
    if dtype is None:
        dtype = _fast_dtype(device)
    check_dtype(dtype)
    encoded, limit = some_texts(directory)
    # In float32 for 8 bits: integers are rounded from exact weights, and compared with exact answers.
    model = load_on(directory, as_torch_dtype(dtype), device, encoded.fill["input_ids"])
    # Before anything is made faster: a model that cannot be served is named by its own first answer.
    output = _named_output(directory, model, encoded)
    is_paddable = pads_alike(model, encoded)
    if folded is None:
        like_these = encoded
        if texts is not None:
            like_these, _ = some_texts(directory, texts)
        folded = pays_to_fold(directory, model, device, like_these)
    difference = 0.0
    if dtype == INT8:
        difference = _put_in_int8(directory, model, device, encoded, folded=folded)
    else:
        accelerate_answers(model, folded=folded)
    record = Record(
        runtime=TORCH,
        precision=str(dtype).removeprefix("torch."),
        inputs=input_names(model, encoded.rows[0]),
        output=output,
        longest=limit,
        texts="",
        difference=difference,
        rows=(),
        answers=(),
        is_paddable=is_paddable,
    )
    # A copy in another process is loaded by the same permissions, which are this thread's now.
    again = partial(
        _serve_again,
        directory.absolute(),
        device,
        dtype,
        folded=folded,
        allow_new_head=allowed().new_head,
        trust_remote_code=allowed().remote_code,
    )
    return Served(Engine(model), record, directory, again)


@as_usual()
def _serve_again(
    directory: Path,
    device: str,
    dtype: Dtype,
    *,
    folded: bool,
    allow_new_head: bool,
    trust_remote_code: bool,
) -> Served:
    """Load the same once more, in whatever process and state of PyTorch a pickle is opened."""
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        # As the first one was: a copy gives the same answers to the last bit.
        return serve_in_pytorch(directory, device, dtype, folded=folded)


def some_texts(directory: Path, texts: Texts | None = None) -> tuple[Encoded, int | None]:
    """Tokenize a few texts, by default built-in ones, and return them with the most that the model reads.

    Raises :class:`~prensa.errors.TokenizerError` for ids that have no embedding.
    """
    config = load_config(directory)
    tokenizer = load_tokenizer(directory)
    limit = longest(tokenizer, config, None)
    if texts is None:
        some = sample(built_in_texts(), _TEXTS)
    else:
        some = sample(texts, _OWN_TEXTS)
    encoded = encode(tokenizer, some, padded_as(task_of(config)), limit)
    check_ids(directory, largest_id(encoded), embedding_rows(config))
    return encoded, limit


def _fast_dtype(device: str) -> str:
    """Return float32 for a processor that would have to emulate bfloat16."""
    if device != "cpu" or has(MULTIPLIES_BF16):
        return "bfloat16"
    return "float32"


def _named_output(directory: Path, model: PreTrainedModel, encoded: Encoded) -> str:
    """Name what counts of a model's output. Raises :class:`ModelError` if a text is not enough for one."""
    row = encoded.rows[0]
    inputs = {name: torch.tensor([row[name]], device=model.device) for name in input_names(model, row)}
    try:
        with torch.inference_mode():
            output = model(**inputs)
    except Exception as error:
        raise ModelError(
            f"{directory}: {type(model).__name__} does not answer texts alone ({first_line(error)}); "
            "it cannot be served, load it without a runtime"
        ) from error
    return output_names(model, output)[0]


def _put_in_int8(
    directory: Path, model: PreTrainedModel, device: str, encoded: Encoded, *, folded: bool
) -> float:
    """Put a model's linear layers in 8 bits, and return how far its answers are from those in float32."""
    names = input_names(model, encoded.rows[0])
    engine = Engine(model)
    truth = one_by_one(engine, encoded, names)
    # The integers of a pressed file, so that weights are not rounded twice.
    integers = stored_integers(directory, model)
    accelerate_answers(model, folded=folded)
    multiply_in_int8(model, integers, DTYPES[_fast_dtype(device)])
    answers = one_by_one(engine, encoded, names)
    apart = distance(answers, truth)
    if apart > TOLERANCES[INT8]:
        raise DifferentAnswersError(
            f"{directory}: PyTorch in int8 gives different answers from float32 (distance {apart:.3g}, "
            f"allowed {TOLERANCES[INT8]:g}); use bfloat16 or float32, or prensa export with `texts` like "
            "yours"
        )
    return apart
