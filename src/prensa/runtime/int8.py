"""Linear layers multiplied in 8-bit integers in PyTorch, where this machine is faster at it.

Weights keep the integers that a pressed file holds, or are rounded to nearest by row. What comes in is
rounded as it comes, each piece by its own largest magnitude (token-wise quantization: Yao et al. 2022,
ZeroQuant, arXiv 2206.01861, section 4.1). Sums are exact in 32 bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prensa.checkpoint.renaming import own_names
from prensa.checkpoint.weight_files import weight_files
from prensa.codecs.container import unpack
from prensa.codecs.layout import SUFFIX
from prensa.errors import AccelerationError
from prensa.ops.affine import INT8_LEVELS, Quantized, quantize
from prensa.runtime.processor import saturates

_ROWS = 256  # of a product at a time on a processor: what lies between is then in its cache
_PIECES, _ROUNDS = (64, 1024), 5  # that a layer is timed with: those of one text, and of a batch
_WORTH = 0.9  # of the time: what gains less is lost again in a whole model
_TINY = 1e-30  # its reciprocal, times 127, is a float32
_FEWEST_ON_CUDA = 32  # pieces that CUDA's kernel takes


class Int8Linear(nn.Module):
    """Takes the place of a linear layer. ``weight`` is int8 ``[inputs, outputs]``, ``step`` ``[outputs]``."""

    weight: Tensor
    step: Tensor
    bias: Tensor | None

    def __init__(self, integers: Quantized, bias: Tensor | None, device: torch.device) -> None:
        """Take a matrix on an integer grid, and put it where ``device`` says."""
        super().__init__()
        self.out_features, self.in_features = integers.values.shape
        turned = integers.values.to(device).t()
        # Processors read rows of what is multiplied, CUDA's kernel takes columns.
        self.register_buffer("weight", turned if device.type == "cuda" else turned.contiguous())
        self.register_buffer("step", (integers.scale / integers.levels).to(device))
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, hidden: Tensor) -> Tensor:
        """Multiply ``[…, inputs]`` into ``[…, outputs]``, in the dtype that came in."""
        rows = hidden.reshape(-1, self.in_features)
        at_once = _ROWS if rows.device.type == "cpu" else max(1, len(rows))
        parts = [self._multiply(part) for part in torch.split(rows, at_once)]
        return (torch.cat(parts) if len(parts) != 1 else parts[0]).view(*hidden.shape[:-1], self.out_features)

    def _multiply(self, rows: Tensor) -> Tensor:
        count = len(rows)
        largest = rows.abs().amax(dim=1, keepdim=True).float()
        step = largest.clamp_min_(_TINY).div_(INT8_LEVELS)
        integers = (rows * step.reciprocal()).round_().to(torch.int8)
        if rows.is_cuda and count < _FEWEST_ON_CUDA:
            integers = nn.functional.pad(integers, (0, 0, 0, _FEWEST_ON_CUDA - count))
        sums = torch._int_mm(integers, self.weight)[:count] * step  # noqa: SLF001
        out = sums.mul_(self.step) if self.bias is None else torch.addcmul(self.bias, sums, self.step)
        return out.to(rows.dtype)


def multiply_in_int8(
    model: nn.Module,
    integers: Mapping[str, Quantized],
    dtype: torch.dtype,
    pays: Callable[[nn.Linear, Int8Linear], bool] | None = None,
) -> int:
    """Replace the linear layers of a model for which that pays, in place. Return how many that were.

    ``integers`` are those of pressed weights, by name. Everything else becomes ``dtype``, also what a layer
    is timed against. The output layer keeps its precision. Raises :class:`AccelerationError` where none of
    them is faster, or where this processor's 8-bit products overflow.
    """
    if next(model.parameters()).device.type == "cpu" and saturates():
        raise AccelerationError(
            "dtype int8: sums of 8-bit products overflow on this processor (x86 without VNNI); "
            "take bfloat16 or float32"
        )
    quicker = pays or _is_faster()
    layers = {name: module for name, module in model.named_modules() if type(module) is nn.Linear}
    replaced = {}
    for name, layer in list(layers.items())[:-1]:
        found = integers.get(f"{name}.weight")
        matrix = quantize(layer.weight.detach().cpu()) if found is None or found.transposed else found
        replaced[name] = Int8Linear(matrix, layer.bias, layer.weight.device)
    model.to(dtype)
    chosen = [name for name, layer in replaced.items() if quicker(layers[name], layer)]
    if not chosen:
        raise AccelerationError(
            "dtype int8: no linear layer of this model is faster in 8 bits here; take bfloat16 or float32"
        )
    for name in chosen:
        path, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(path), attribute, replaced[name])
    return len(chosen)


def _is_faster() -> Callable[[nn.Linear, Int8Linear], bool]:
    """Return a function that times one layer of each shape, once."""
    known: dict[tuple[int, ...], bool] = {}

    def is_faster(layer: nn.Linear, other: Int8Linear) -> bool:
        shape = tuple(layer.weight.shape)
        if shape not in known:
            known[shape] = _is_quicker(layer, other)
        return known[shape]

    return is_faster


@torch.inference_mode()
def _is_quicker(layer: nn.Linear, other: Int8Linear) -> bool:
    try:
        return _is_exact(other) and all(_is_worth(layer, other, pieces) for pieces in _PIECES)
    except RuntimeError:  # a shape or a device that has no such kernel
        return False


def _is_worth(layer: nn.Linear, other: Int8Linear, pieces: int) -> bool:
    generator = torch.Generator().manual_seed(0)  # the caller's stays where it is
    rows = torch.randn(pieces, layer.in_features, generator=generator).to(layer.weight)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for module, times in zip((layer, other), seconds, strict=True):
            start = time.perf_counter()
            module(rows).cpu()
            times.append(time.perf_counter() - start)
    return min(seconds[1]) < _WORTH * min(seconds[0])


def _is_exact(layer: Int8Linear) -> bool:
    """Whether the kernel's sums are right, those of the largest numbers too."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(
        -INT8_LEVELS, INT8_LEVELS + 1, (_FEWEST_ON_CUDA, layer.in_features), generator=generator
    )
    rows[: _FEWEST_ON_CUDA // 2] = INT8_LEVELS
    rows = rows.to(device=layer.weight.device, dtype=torch.int8)
    sums = torch._int_mm(rows, layer.weight)  # noqa: SLF001
    return torch.equal(sums.cpu().double(), rows.cpu().double() @ layer.weight.cpu().double())


def stored_integers(directory: Path, model: Any) -> dict[str, Quantized]:
    """Read the integers that a pressed model's linear layers are stored as, by the weights' names.

    ``model`` is that model, loaded; what is stored in another way is left out.
    """
    linear = {f"{name}.weight" for name, module in model.named_modules() if type(module) is nn.Linear}
    own_name = own_names(model)
    found = {}
    for file in weight_files(directory)[0]:
        if not file.endswith(".safetensors"):
            continue
        with safe_open(directory / file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118
                own = own_name(key.removesuffix(SUFFIX)) if key.endswith(SUFFIX) else None
                if own in linear:
                    value = unpack(tensors.get_tensor(key).numpy(), tuple(model.get_parameter(own).shape))
                    if isinstance(value, Quantized):
                        found[own] = value
    return found
