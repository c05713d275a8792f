"""What a served model is called with, checked before any runtime sees it.

Runtimes differ in what they make of an id without a row or a text without positions: an error, zeros, or what
was in memory before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prensa.errors import DataError, first_line
from prensa.serving.exported import Record
from prensa.serving.facts import Facts

_CALL = (
    "call the model with the tokenizer's output: model(**tokenizer(texts, padding=True, return_tensors='pt'))"
)
_WITHOUT_EFFECT = {"return_dict", "use_cache", "token_type_ids", "attention_mask"}
"""What callers pass to every model: how answers are returned, and what this one may not read."""

# Of inputs: texts, tokens.
_DIMENSIONS = 2


def read_inputs(given: Mapping[str, object], record: Record, facts: Facts) -> dict[str, NDArray[np.int64]]:
    """Return the inputs that a model reads, ``[batch, length]`` each; masks and types may be missing.

    Raises :class:`DataError` for anything that the model cannot answer.
    """
    present = {name: value for name, value in given.items() if value is not None}
    _check_names(present, record)
    ids = _integers("input_ids", present["input_ids"])
    if ids.ndim != _DIMENSIONS or not ids.size:
        raise DataError(
            f"input_ids has the shape {list(ids.shape)}, expected [texts, tokens] with at least one of each; "
            f"{_CALL}"
        )
    if record.longest is not None and ids.shape[1] > record.longest:
        raise DataError(
            f"the text has {ids.shape[1]} tokens, the model reads {record.longest}; pass truncation=True "
            f"(and max_length={record.longest}) to the tokenizer"
        )
    _check_range("input_ids", ids, facts.ids)
    # As PyTorch's models take it: all tokens count, and all are of the first text.
    defaults = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    inputs = {}
    for name in record.inputs:
        if name in present and name != "input_ids":
            values = _integers(name, present[name])
        else:
            values = defaults[name]
        if values.shape != ids.shape:
            raise DataError(
                f"{name} has the shape {list(values.shape)}, input_ids has {list(ids.shape)}; "
                "expected the same"
            )
        inputs[name] = values
    if "token_type_ids" in inputs:
        _check_range("token_type_ids", inputs["token_type_ids"], facts.types)
    return inputs


def _check_names(present: Mapping[str, object], record: Record) -> None:
    if "input_ids" not in present:
        raise DataError(f"input_ids are missing; {_CALL}, or use predict() for texts")
    accepted = {*record.inputs, *_WITHOUT_EFFECT}
    for name, value in present.items():
        # What is switched off, such as output_attentions=False, is what happens here anyway.
        if name in accepted or value is False:
            continue
        raise DataError(
            f"{name} is not an input of this model, which reads {', '.join(record.inputs)}; "
            "for everything else load it without a runtime"
        )


def _integers(name: str, value: object) -> NDArray[np.int64]:
    """Return an input as integers. A mask may come as floats or booleans, as PyTorch takes it."""
    if isinstance(value, Mapping):
        raise DataError(f"{name}: expected token ids, found {type(value).__name__}; {_CALL}")
    try:
        array = _array(value)
    except (ValueError, TypeError, RuntimeError) as error:
        # Rows of several lengths, tensors without values.
        raise DataError(f"{name}: not a table of numbers ({first_line(error)}); {_CALL}") from error
    if array.dtype.kind in "US":
        raise DataError(f"{name}: expected token ids, found text; use predict() for texts")
    if not _is_whole(array, is_mask=name == "attention_mask"):
        raise DataError(f"{name}: expected integers, found {array.dtype}; {_CALL}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _is_whole(array: NDArray[np.generic], *, is_mask: bool) -> bool:
    """Whether an array holds integers, or is a mask that holds what can only be integers."""
    kind = array.dtype.kind
    # An empty list becomes floats.
    if kind in "iu" or not array.size:
        return True
    if is_mask and kind == "f":
        return np.array_equal(array, np.round(array))
    return is_mask and kind == "b"


def _array(value: object) -> NDArray[np.generic]:
    # A tensor of PyTorch, which need not be there for arrays and lists.
    detach = getattr(value, "detach", None)
    if detach is None:
        listed: ArrayLike = value  # type: ignore[assignment]
        return np.asarray(listed)
    tensor = detach().cpu()
    # NumPy has no bfloat16.
    if tensor.is_floating_point():
        tensor = tensor.double()
    return np.asarray(tensor.numpy())


def _check_range(name: str, values: NDArray[np.int64], count: int | None) -> None:
    lowest = int(values.min())
    highest = int(values.max())
    wrong = highest
    if lowest < 0:
        wrong = lowest
    elif count is None or highest < count:
        return
    expected = "0 or more" if count is None else f"0 to {count - 1}"
    raise DataError(
        f"{name}: found {wrong}, expected {expected}; use the tokenizer that is saved beside the model"
    )
