"""Linear layers multiplied in 8-bit integers in PyTorch, where this machine is faster at it.

Weights keep the integers that a pressed file holds, or are rounded to nearest by row. What comes in is
rounded as it comes, each token by its own largest magnitude (token-wise quantization: Yao et al. 2022,
ZeroQuant, arXiv 2206.01861, section 4.1). Sums are exact in 32 bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prensa.checkpoint.renaming import own_names
from prensa.checkpoint.weight_files import weight_files
from prensa.codecs.container import unpack
from prensa.codecs.layout import SUFFIX
from prensa.errors import SettingError
from prensa.ops.affine import INT8_LEVELS, Quantized, quantize
from prensa.runtime.processor import saturates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Rows of a product at a time on a processor: what lies between is then in its cache.
_ROWS = 256

# Tokens that a layer is timed with: those of one text, and of a batch.
_TOKENS = (64, 1024)
_ROUNDS = 5
# As a share of the time: what gains less is lost again in a whole model.
_WORTH = 0.9

# So small that it changes nothing, and its reciprocal, times 127, is still a float32.
_TINY = 1e-30
# Rows that CUDA's kernel takes.
_FEWEST_ON_CUDA = 32


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
        if device.type != "cuda":
            turned = turned.contiguous()
        if bias is not None:
            bias = bias.detach().float()
        step = integers.scale / integers.levels
        self.register_buffer("weight", turned)
        self.register_buffer("step", step.to(device))
        self.register_buffer("bias", bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Multiply ``[…, inputs]`` into ``[…, outputs]``, in the dtype that came in."""
        rows = hidden.reshape(-1, self.in_features)
        at_once = max(1, len(rows))
        if rows.device.type == "cpu":
            at_once = _ROWS
        blocks = []
        for block in torch.split(rows, at_once):
            blocks.append(self._multiply(block))
        out = blocks[0]
        # Of a single block there is nothing to copy.
        if len(blocks) > 1:
            out = torch.cat(blocks)
        return out.view(*hidden.shape[:-1], self.out_features)

    def _multiply(self, rows: Tensor) -> Tensor:
        count = len(rows)
        # Each row has a grid whose last level is its largest magnitude; a row of zeros has a tiny one.
        largest = rows.abs().amax(dim=1, keepdim=True)
        largest = largest.float().clamp_min_(_TINY)
        step = largest.div_(INT8_LEVELS)
        scaled = rows * step.reciprocal()
        integers = scaled.round_().to(torch.int8)
        if rows.is_cuda and count < _FEWEST_ON_CUDA:
            missing = _FEWEST_ON_CUDA - count
            integers = nn.functional.pad(integers, (0, 0, 0, missing))
        products = _multiply_integers(integers, self.weight)
        # From here on in float32: exact sums, times the step of the row and that of the column.
        sums = products[:count] * step
        if self.bias is None:
            out = sums.mul_(self.step)
        else:
            out = torch.addcmul(self.bias, sums, self.step)
        return out.to(rows.dtype)


def _multiply_integers(left: Tensor, right: Tensor) -> Tensor:
    """Multiply int8 matrices into int32 by the kernel of PyTorch that quantized models use, too."""
    return torch._int_mm(left, right)  # noqa: SLF001


def multiply_in_int8(
    model: nn.Module,
    integers: Mapping[str, Quantized],
    dtype: torch.dtype,
    pays: Callable[[nn.Linear, Int8Linear], bool] | None = None,
) -> int:
    """Replace the linear layers of a model for which that pays, in place. Return how many that were.

    ``integers`` are those of pressed weights, by name. Everything else becomes ``dtype``, also what a layer
    is timed against. The output layer keeps its precision. Raises :class:`SettingError` where none of
    them is faster, or where this processor's 8-bit products overflow.
    """
    if next(model.parameters()).device.type == "cpu" and saturates():
        raise SettingError(
            "`dtype=int8`: sums of 8-bit products overflow on this processor (x86 without VNNI); "
            "take bfloat16 or float32"
        )
    quicker = pays or _is_faster()
    layers = _linear_layers(model)
    # The last one is the output layer: its errors would be those of the answers.
    names = list(layers)[:-1]
    replacements = {}
    for name in names:
        layer = layers[name]
        matrix = integers.get(f"{name}.weight")
        if matrix is None or matrix.transposed:
            matrix = quantize(layer.weight.detach().cpu())
        replacements[name] = Int8Linear(matrix, layer.bias, layer.weight.device)

    # After rounding, which takes the weights as they are, and before timing, which compares with this dtype.
    model.to(dtype)
    chosen = [name for name in names if quicker(layers[name], replacements[name])]
    if not chosen:
        raise SettingError(
            "`dtype=int8`: no linear layer of this model is faster in 8 bits here; take bfloat16 or float32"
        )
    for name in chosen:
        path, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(path), attribute, replacements[name])
    return len(chosen)


def _linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers by name. A subclass may compute something else, so it is none."""
    layers = {}
    for name, module in model.named_modules():
        if type(module) is nn.Linear:
            layers[name] = module
    return layers


def _is_faster() -> Callable[[nn.Linear, Int8Linear], bool]:
    """Return a function that times one layer of each shape, once."""
    by_shape: dict[tuple[int, ...], bool] = {}

    def is_faster(layer: nn.Linear, other: Int8Linear) -> bool:
        shape = tuple(layer.weight.shape)
        if shape not in by_shape:
            by_shape[shape] = _is_quicker(layer, other)
        return by_shape[shape]

    return is_faster


@torch.inference_mode()
def _is_quicker(layer: nn.Linear, other: Int8Linear) -> bool:
    few, many = _TOKENS
    try:
        return _is_exact(other) and _is_worth(layer, other, few) and _is_worth(layer, other, many)
    except RuntimeError:
        # A shape or a device that has no such kernel.
        return False


def _is_worth(layer: nn.Linear, other: Int8Linear, tokens: int) -> bool:
    # An own generator: the caller's stays where it is.
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(tokens, layer.in_features, generator=generator)
    rows = rows.to(layer.weight)
    seconds = []
    others_seconds = []
    # In turns, so that what slows the machine down meanwhile slows both down.
    for _ in range(_ROUNDS):
        seconds.append(_time(layer, rows))
        others_seconds.append(_time(other, rows))
    return min(others_seconds) < _WORTH * min(seconds)


def _time(module: nn.Module, rows: Tensor) -> float:
    start = time.perf_counter()
    # Moved to the processor, which waits for the result of an accelerator.
    module(rows).cpu()
    return time.perf_counter() - start


def _is_exact(layer: Int8Linear) -> bool:
    """Whether the kernel's sums are right, those of the largest numbers too."""
    generator = torch.Generator().manual_seed(0)
    shape = (_FEWEST_ON_CUDA, layer.in_features)
    rows = torch.randint(-INT8_LEVELS, INT8_LEVELS + 1, shape, generator=generator)
    half = _FEWEST_ON_CUDA // 2
    rows[:half] = INT8_LEVELS
    rows = rows.to(device=layer.weight.device, dtype=torch.int8)
    sums = _multiply_integers(rows, layer.weight)
    # Integers below 2^53 are exact in float64, and so are their sums.
    left = rows.cpu().double()
    right = layer.weight.cpu().double()
    exact = left @ right
    return torch.equal(sums.cpu().double(), exact)


def stored_integers(directory: Path, model: PreTrainedModel) -> dict[str, Quantized]:
    """Read the integers that a pressed model's linear layers are stored as, by the weights' names.

    ``model`` is that model, loaded; what is stored in another way is left out.
    """
    linear = {f"{name}.weight" for name in _linear_layers(model)}
    own_name = own_names(model)
    integers = {}
    for file in weight_files(directory)[0]:
        if not file.endswith(".safetensors"):
            continue
        with safe_open(directory / file, framework="pt") as tensors:
            for key in list(tensors.keys()):
                if not key.endswith(SUFFIX):
                    continue
                # Files may have another name for a weight than the class that is loaded.
                name = own_name(key.removesuffix(SUFFIX))
                if name not in linear:
                    continue
                packed = tensors.get_tensor(key).numpy()
                value = unpack(packed, tuple(model.get_parameter(name).shape))
                if isinstance(value, Quantized):
                    integers[name] = value
    return integers
