"""Whether a model that does not fit in memory can be calibrated layer by layer, and what that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.amounts import bytes_of
from prensa.calibration.blocks import lists_of_layers
from prensa.calibration.watch import matrix_of
from prensa.checkpoint.names import fitted_in
from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, Parameter, meta_model
from prensa.checkpoint.structure import structure_of
from prensa.checkpoint.wrapped import missing_names
from prensa.errors import SettingError
from prensa.ops import moment

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_COUNT, _HIDDEN = "num_hidden_layers", "hidden_size"
"""The names by which every config answers, whatever its own are."""

_FLOAT32 = 4
# Bytes of what layers gave that stay in memory. Files hold the rest.
_HELD = 1 << 28
# Of a small bound no more than this share.
_SHARE = 8
# Dimensions.
_MATRIX = 2


@dataclass(frozen=True)
class Streaming:
    """A calibration with one layer in memory at a time.

    ``layers`` is the name of the list of layers. ``memory`` are bytes: the weights and moments that are there
    at a time, and ``held``, what layers gave that stays in memory. ``disk`` are the bytes of temporary files,
    at most, and ``weights`` those of the whole model in float32.
    """

    layers: str
    memory: int
    held: int
    disk: int
    weights: int


def memory_from(value: int | str | None) -> int | None:
    """Read a bound on memory: a number of bytes, or one with a unit, such as ``"8GiB"`` or ``"8GB"``.

    Raises :class:`SettingError` for anything else.
    """
    if value is None:
        return None
    expected = "a size such as 8GiB, 8GB or bytes"
    nbytes = bytes_of(value, "memory", expected)
    if nbytes < 1:
        raise SettingError(f"`memory`: expected {expected}, found {value!r}")
    return nbytes


def list_of_layers(path: Path, shape: ModelShape) -> tuple[str, str]:
    """Return the name of a model's list of layers, and why it must be calibrated as a whole all the same.

    The second is empty for a model that can be calibrated layer by layer.
    """
    model = meta_model(path)
    lists: list[tuple[str, int]] = []
    for name, modules in lists_of_layers(model):
        # A list of dropouts or of norms is no list of layers.
        if any(matrix_of(module) is not None for module in modules.modules()):
            lists.append((name, len(modules)))
    if len(lists) != 1:
        return "", f"{shape.class_name} has {len(lists)} lists of layers, and one is expected"
    name, there = lists[0]
    said = getattr(_of_texts(model.config), _COUNT, None)
    if there != said:
        return name, f"{shape.class_name} has {there} layers, and config.json says {said}"
    if structure_of(model.config) is not None:
        return name, "its layers have uneven widths"
    return name, _why_not(fitted_in(path, shape), shape)


def _why_not(checkpoint: Checkpoint, shape: ModelShape) -> str:
    """Return why tensors cannot be read one by one; empty if they can."""
    if checkpoint.is_quantized:
        return "it is quantized"
    for spec in checkpoint.specs:
        if shape.own_name(spec.name) is None and not spec.is_unused:
            return f"transformers makes its weights of other tensors than the file has ({spec.name})"
    missing = missing_names([spec.name for spec in checkpoint.specs], shape)
    return f"the file has no {missing[0]}" if missing else ""


def streaming_of(
    layers: str, shape: ModelShape, config: PretrainedConfig, tokens: int, bound: int
) -> Streaming:
    """Work out what it takes to calibrate a model layer by layer.

    ``tokens`` go through it, padding included, and ``bound`` are the bytes of main memory.
    """
    weights = 0
    moments = 0
    by_part: dict[str, int] = {}
    for name, parameter in shape.parameters.items():
        # A tied one is another's memory.
        if name in shape.tied:
            continue
        of_weight = _FLOAT32 * math.prod(parameter.shape)
        of_moment = moment_bytes(parameter)
        part = _part(name, layers)
        by_part[part] = by_part.get(part, 0) + of_weight + of_moment
        weights += of_weight
        moments += of_moment
    # What is in no layer is there all the time.
    outside = by_part.pop("", 0)
    held = min(_HELD, bound // _SHARE)
    vectors = _FLOAT32 * tokens * int(getattr(_of_texts(config), _HIDDEN, 0))
    # What each layer gave, and gradients on their way: of one layer, of the one before it, and to the front.
    given = vectors * (len(by_part) + 3)
    return Streaming(
        layers=layers,
        memory=outside + max(by_part.values()) + held,
        held=held,
        disk=moments + given,
        weights=weights,
    )


def moment_bytes(parameter: Parameter) -> int:
    """Return the bytes of a parameter's second moment, 0 if it is no matrix of weights."""
    if len(parameter.shape) != _MATRIX or parameter.is_buffer:
        return 0
    rows, columns = parameter.shape
    # GPT-2's layers are stored the other way round.
    if parameter.layer == "Conv1D":
        columns = rows
    return moment.nbytes(columns)


def _part(name: str, layers: str) -> str:
    """Return the number of the layer that a parameter is in; empty if it is in none."""
    if not name.startswith(f"{layers}."):
        return ""
    number, _, _ = name.removeprefix(f"{layers}.").partition(".")
    return number


def _of_texts(config: PretrainedConfig) -> PretrainedConfig:
    return config.get_text_config()
