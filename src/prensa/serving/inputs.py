"""What a served model is called with, checked before any runtime sees it.

Runtimes differ in what they make of an id without a row or a text without positions: an error, zeros, or what
was in memory before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prensa.errors import DataError, first_line
from prensa.serving.exported import Record
from prensa.texts.tokenizers import embedding_rows

_CALL = (
    "call the model with the tokenizer's output: model(**tokenizer(texts, padding=True, return_tensors='pt'))"
)
_WITHOUT_EFFECT = {"return_dict", "use_cache", "token_type_ids", "attention_mask"}
"""What callers pass to every model: how answers are returned, and what this one may not read."""


def read_inputs(given: Mapping[str, Any], record: Record, config: Any) -> dict[str, NDArray[np.int64]]:
    """Return the inputs that a model reads, ``[batch, length]`` each; masks and types may be missing.

    Raises :class:`DataError` for anything that the model cannot answer.
    """
    present = {name: value for name, value in given.items() if value is not None}
    _check_names(present, record)
    ids = _integers("input_ids", present["input_ids"])
    if ids.ndim != 2 or not ids.size:  # noqa: PLR2004  [batch, length]
        raise DataError(
            f"input_ids has the shape {list(ids.shape)}, expected [texts, tokens] with at least one of each; "
            f"{_CALL}"
        )
    if record.longest is not None and ids.shape[1] > record.longest:
        raise DataError(
            f"the text has {ids.shape[1]} tokens, the model reads {record.longest}; pass truncation=True "
            f"(and max_length={record.longest}) to the tokenizer"
        )
    _check_range("input_ids", ids, embedding_rows(config))
    missing = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    inputs = {"input_ids": ids}
    for name in record.inputs:
        if name not in inputs:
            inputs[name] = _integers(name, present[name]) if name in present else missing[name]
        if inputs[name].shape != ids.shape:
            raise DataError(
                f"{name} has the shape {list(inputs[name].shape)}, input_ids has {list(ids.shape)}; "
                "expected the same"
            )
    if "token_type_ids" in inputs:
        _check_range("token_type_ids", inputs["token_type_ids"], getattr(config, "type_vocab_size", None))
    return {name: inputs[name] for name in record.inputs}


def _check_names(present: Mapping[str, Any], record: Record) -> None:
    if "input_ids" not in present:
        raise DataError(f"input_ids are missing; {_CALL}, or use predict() for texts")
    for name, value in present.items():
        if name not in {*record.inputs, *_WITHOUT_EFFECT} and value is not False:
            raise DataError(
                f"{name} is not an input of this model, which reads {', '.join(record.inputs)}; "
                "for everything else load it without a runtime"
            )


def _integers(name: str, value: Any) -> NDArray[np.int64]:
    """Return an input as integers. A mask may come as floats or booleans, as PyTorch takes it."""
    if isinstance(value, Mapping):
        raise DataError(f"{name}: expected token ids, found {type(value).__name__}; {_CALL}")
    try:
        array = _array(value)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of several lengths, tensors without values
        raise DataError(f"{name}: not a table of numbers ({first_line(error)}); {_CALL}") from error
    if array.dtype.kind in "US":
        raise DataError(f"{name}: expected token ids, found text; use predict() for texts")
    is_mask = name == "attention_mask"
    is_whole = array.dtype.kind in "iu" or not array.size
    if is_mask and array.dtype.kind in "bf":
        is_whole = bool((array == np.round(array)).all()) if array.dtype.kind == "f" else True
    if not is_whole:
        raise DataError(f"{name}: expected integers, found {array.dtype}; {_CALL}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _array(value: Any) -> NDArray[Any]:
    if not isinstance(value, Tensor):
        return np.asarray(value)
    tensor = value.detach().cpu()
    array: NDArray[Any] = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    return array


def _check_range(name: str, values: NDArray[np.int64], count: int | None) -> None:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or (count is not None and highest >= count):
        found = lowest if lowest < 0 else highest
        allowed = "0 or more" if count is None else f"0 to {count - 1}"
        raise DataError(
            f"{name}: found {found}, expected {allowed}; use the tokenizer that is saved beside the model"
        )
