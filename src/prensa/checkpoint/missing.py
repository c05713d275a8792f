"""What is reported of tensors that a class needs and a checkpoint lacks: which, from where, likely why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape
from prensa.errors import ModelError

# Names in a message.
_SHOWN = 3

_QUANTIZED = "its weights are quantized, but config.json has no quantization_config; compress the original"
_CAUSES = {
    "lora_": "it holds an adapter that was not merged: merge it with model.merge_and_unload() and save again",
    "qweight": _QUANTIZED,
    ".absmax": _QUANTIZED,
    "SCB": _QUANTIZED,
    "_packed_params": "its weights are quantized by torch.ao; compress the original",
    ".parametrizations.": (
        "it holds parametrizations: call torch.nn.utils.parametrize.remove_parametrizations and save again"
    ),
    "_orig": "it holds torch.nn.utils.prune's parts: call torch.nn.utils.prune.remove and save again",
}
"""Parts of names that the class does not know, and what they show."""


def new_head(
    checkpoint: Checkpoint,
    shape: ModelShape,
    missing: Sequence[str],
    present: Iterable[str],
) -> str:
    """Return the note on a head without weights if that is allowed, else raise :class:`ModelError`."""
    only_head = shape.head.issuperset(missing)
    if only_head and allowed().new_head:
        return (
            f"the head is new: {count_of(missing)} ({first_of(missing)}) get random values, the same ones "
            "every time; its answers mean nothing until it is trained"
        )
    needed = len(shape.required)
    cause = _cause(checkpoint, shape, missing, list(present))
    raise ModelError(
        f"{checkpoint.path}: {count_of(missing)} of the {needed} that {shape.class_name} needs are missing "
        f"from {_files(checkpoint)} ({first_of(missing)}); {cause}"
    )


def _cause(checkpoint: Checkpoint, shape: ModelShape, missing: Sequence[str], present: Sequence[str]) -> str:
    """Return what has likely happened, and what to do."""
    unknown = [name for name in present if shape.find(name).own not in shape.parameters]
    for mark, cause in _CAUSES.items():
        if any(mark in name for name in unknown):
            return cause

    if len(missing) == len(shape.required):
        cause = "none of its names fits: config.json and weights are of different models"
        if unknown:
            cause += f" (it holds {first_of(unknown)})"
        return cause
    if shape.head.issuperset(missing):
        return (
            "only the head is missing: use the trained model, name the base class in config.json's "
            "architectures, or give `allow_new_head`"
        )
    if unknown:
        return f"found in their place: {first_of(unknown)}; save the model with save_pretrained and try again"
    missing_layers = _numbers_in(missing)
    if missing_layers and not missing_layers & _numbers_in(present):
        return "whole layers: config.json counts more of them than the file has; correct it or save again"
    return f"save the model again with save_pretrained, or fetch {checkpoint.path.name} again"


def _numbers_in(names: Iterable[str]) -> set[str]:
    """Return the numbers of the layers that some tensors are in."""
    numbers = set()
    for name in names:
        for part in name.split("."):
            if part.isdigit():
                numbers.add(part)
    return numbers


def _files(checkpoint: Checkpoint) -> str:
    first, *more = checkpoint.files
    if not more:
        return first
    return f"{first} and {len(more)} more files"


def count_of(names: Sequence[str]) -> str:
    """``1 tensor``, ``2 tensors``."""
    if len(names) == 1:
        return "1 tensor"
    return f"{len(names)} tensors"


def first_of(names: Sequence[str]) -> str:
    """List the first few names, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more"
    return shown
