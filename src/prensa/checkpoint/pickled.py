"""State dicts that PyTorch pickled: mapped and never executed, as ``weights_only`` takes data alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from prensa.checkpoint.headers import SAFETENSORS_NAMES
from prensa.errors import ModelError, first_line
from prensa.ops.spec import TensorSpec
from prensa.sharing import WITHOUT_WARNINGS

_INSIDE = ("state_dict", "model_state_dict", "model", "module", "weights", "net")
"""Where training loops put the state dict among other things that they save, the usual place first."""


def describe_pickle(path: Path) -> tuple[list[TensorSpec], dict[str, str], list[str]]:
    """Describe the tensors of a file, say which share memory, and what a user should know of the file.

    Of tensors that share memory each is named with the first one that has it. Raises :class:`ModelError`.
    """
    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    first: dict[object, str] = {}
    tensors, notes = load_pickle(path)
    for name, tensor in tensors.items():
        specs.append(TensorSpec(name, tuple(tensor.shape), tensor.dtype, path.name))
        # The same address alone is not enough: a slice may begin where the whole tensor does.
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        # Tensors without elements all have the address 0, and share nothing.
        if tensor.numel() and memory in first:
            shared[name] = first[memory]
        first.setdefault(memory, name)
    return specs, shared, notes


def load_pickle(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Map a pickled state dict, also one inside of a training checkpoint, and say so then.

    Raises :class:`ModelError` for anything but a dictionary of dense tensors.
    """
    try:
        # PyTorch's remarks on old pickle protocols concern nobody who only reads the file.
        with WITHOUT_WARNINGS:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise ModelError(
            f"{path}: expected a pickled dictionary of tensors and nothing else, "
            f"found something that does not load as one ({first_line(error)}); save model.state_dict()"
        ) from error

    notes = []
    inside = _inside(loaded)
    if inside:
        loaded = loaded[inside]
        notes.append(f"{path.name} is a training checkpoint: its {inside!r} was taken")
    if not isinstance(loaded, dict) or not loaded:
        raise ModelError(f"{path}: expected a dictionary of tensors, found {type(loaded).__name__}")

    tensors = {}
    for name, value in loaded.items():
        _check_plain(path, name, value)
        # A parameter would keep a graph alive, and numpy() refuses it.
        tensors[name] = value.detach()
    return tensors, notes


def _check_plain(path: Path, name: object, value: object) -> None:
    """Raise :class:`ModelError` unless it is a name and a dense tensor of a dtype that can be written."""
    if not isinstance(value, Tensor):
        raise ModelError(
            f"{path}: expected a dictionary of tensors, found {type(value).__name__} under {name!r}"
        )
    is_plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not isinstance(name, str) or not is_plain or value.dtype not in SAFETENSORS_NAMES:
        raise ModelError(
            f"{path}: tensor {name!r}: expected a name and a dense tensor, found {value.layout}, "
            f"{value.dtype} on {value.device}"
        )


def _inside(loaded: object) -> str:
    """Return the key of a training checkpoint's tensors, empty if it is a state dict itself."""
    if not isinstance(loaded, dict):
        return ""
    for value in loaded.values():
        if isinstance(value, Tensor):
            return ""
    state_dicts = [key for key, value in loaded.items() if _is_state_dict(value)]

    # Of several, only a usual name says which is the model's: others may be averages or an optimizer's.
    for key in _INSIDE:
        if key in state_dicts:
            return key
    if len(state_dicts) == 1:
        return str(state_dicts[0])
    return ""


def _is_state_dict(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(tensor, Tensor) for tensor in value.values())
