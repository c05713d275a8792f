"""The parts of a model that learn while its integers stay: scales of rows, biases, norms and the head.

A row's scale multiplies what comes out of its layer, so it is learnt there: a hook multiplies outputs, and
no gradient of a matrix is ever computed. All other parts are parametrized as what they will be stored as
(``torch.nn.utils.parametrize``). So answers, losses and the choice of the best state are always those of the
numbers that a file will hold; gradients pass rounding as if it were not there (Bengio et al. 2013, arXiv
1308.3432, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from prensa.checkpoint.manifest import TensorReport
from prensa.checkpoint.renaming import own_names
from prensa.healing.stored import Stored

SCALE_BITS = 5
"""Bits behind the leading one of a scale that has learnt: it is at most 1.6 % away from what was learnt.

Steps of calibrated passes come with two, and each further bit is one more bit for each row of the file. Those
that have more already, from plain rounding to 8 bits, keep all of theirs.
"""

# Bits behind the leading one of a float32.
_MANTISSA = 23
_WEIGHT = ".weight"
# What a layer has beside its own tensors: the scales as they were, and how much each is changed.
_SCALE, _CHANGE = "scale_before", "scale_change"
# Roles whose tensors learn whole where they are stored dense, whatever their shape; all vectors do anyway.
_WHOLE = "head"
# What is looked up row by row: few texts meet few of its rows.
_EMBEDDING = "embedding"
# A scale never changes its sign: half of it is as small as it becomes.
_LEAST, _MOST = -0.5, 1.0


@dataclass(frozen=True)
class Part:
    """One tensor of the file that learns: the parameter that does, and the tensor as it will be stored."""

    name: str
    learns: nn.Parameter
    module: nn.Module
    attribute: str
    scale: Tensor | None = None
    dtype: torch.dtype = torch.float32

    def value(self) -> Tensor:
        """Return what is to be stored: a scale float32 ``[rows]``, or the dense tensor."""
        with torch.no_grad():
            if self.scale is not None:
                return as_stored(self.scale.cpu(), self.learns.cpu())
            learnt: Tensor = getattr(self.module, self.attribute)
            return learnt.detach().to(self.dtype).cpu()


def learning_parts(model: PreTrainedModel, stored: Stored, reports: Mapping[str, TensorReport]) -> list[Part]:
    """Prepare a model, loaded in float32 from a packed result, and return what may learn in it.

    ``reports`` are the manifest's, by their names. The model is for learning only from then on: parametrized,
    and with hooks.
    """
    own_name = own_names(model)
    parts: list[Part] = []
    for name, scale in stored.scales.items():
        own = own_name(name)
        layer = _layer(model, own)
        # Of a table that is tied the file may have the output layer's name: its rows are looked up, too.
        if layer is not None and reports[name].role != _EMBEDDING:
            parts.append(_scaled(name, layer, scale.to(model.device)))
    for name, dtype in stored.dense.items():
        own = own_name(name)
        is_vector = len(reports[name].shape) == 1
        if own is not None and (is_vector or reports[name].role == _WHOLE):
            part = _parametrized(model, name, own, dtype)
            if part is not None:
                parts.append(part)
    return parts


def as_stored(scale: Tensor, change: Tensor) -> Tensor:
    """Return positive scales ``[rows]`` after a relative change ``[rows]``, as a file will hold them."""
    changed = scale * (1 + _bounded(change))
    # Whoever wrote scales with more bits has paid for them already.
    is_short = torch.equal(rounded(scale), scale)
    return rounded(changed) if is_short else changed


def rounded(scale: Tensor) -> Tensor:
    """Round positive float32 numbers to ``SCALE_BITS`` bits behind their leading one."""
    dropped = _MANTISSA - SCALE_BITS
    # Bits of positive floats are in the order of the numbers: half of a unit is added, the rest cut off.
    bits = scale.contiguous().view(torch.int32) + (1 << (dropped - 1))
    return (bits >> dropped << dropped).view(torch.float32)


def _layer(model: PreTrainedModel, own: str | None) -> nn.Module | None:
    """Return the linear layer whose matrix has this name; None if it is another kind of module's."""
    if own is None or not own.endswith(_WEIGHT):
        return None
    module = model.get_submodule(own.removesuffix(_WEIGHT))
    if isinstance(module, (nn.Linear, Conv1D)):
        return module
    return None


def _scaled(name: str, layer: nn.Module, scale: Tensor) -> Part:
    """Let each row of a linear layer's matrix be scaled."""
    change = nn.Parameter(torch.zeros_like(scale))
    # Registered, so that both are found by whoever lists the model's parameters, or moves it.
    layer.register_parameter(_CHANGE, change)
    layer.register_buffer(_SCALE, scale, persistent=False)
    layer.register_forward_hook(_scale_rows)
    return Part(name, change, layer, _CHANGE, scale=scale)


def _scale_rows(layer: nn.Module, _given: object, output: Tensor) -> Tensor:
    """Multiply what comes out of a layer, bias aside, as if its rows had their new scales."""
    scale: Tensor = getattr(layer, _SCALE)
    change = _bounded(getattr(layer, _CHANGE))
    with torch.no_grad():
        stored = as_stored(scale, change) / scale - 1
        # Rows of zeros may have the scale 0.
        stored = torch.where(scale > 0, stored, 0.0)
    change = (change + (stored - change).detach()).to(output.dtype)
    bias: Tensor | None = getattr(layer, "bias", None)
    without_bias = output if bias is None else output - bias.to(output.dtype)
    return output + without_bias * change


def _bounded(change: Tensor) -> Tensor:
    return change.clamp(_LEAST, _MOST)


class _AsStored(nn.Module):
    """A tensor as it is after it was stored in another dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, value: Tensor) -> Tensor:
        """Round forwards only."""
        return value + (value.to(self.dtype).to(value.dtype) - value).detach()


def _parametrized(model: PreTrainedModel, name: str, own: str, dtype: torch.dtype) -> Part | None:
    """Let a dense tensor learn; None for a buffer, which takes no gradients."""
    path, _, attribute = own.rpartition(".")
    module = model.get_submodule(path)
    parameter = getattr(module, attribute)
    if not isinstance(parameter, nn.Parameter):
        return None
    parametrize.register_parametrization(module, attribute, _AsStored(dtype))
    learns: nn.Parameter = module.parametrizations[attribute].original
    return Part(name, learns, module, attribute, dtype=dtype)
