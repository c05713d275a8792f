"""What is known of a tensor before it is read: name, shape, dtype, file, and what it is for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

Role = Literal["linear", "embedding", "norm", "bias", "head", "other"]
"""What a tensor does in the model.

``linear``     the matrix of a linear layer (``Conv1D`` of GPT-2 included)
``embedding``  a table of rows that are looked up (also when an output layer is tied to it)
``norm``       weights and biases of normalization layers
``bias``       biases of every other layer
``head``       the last layer, which makes the task's outputs
``other``      everything else, and every tensor that the model class does not know
"""

ROLES: tuple[Role, ...] = get_args(Role)

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""The dtypes that passes change; tensors of other dtypes are stored as they are."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the checkpoint, known from headers alone.

    ``layer`` is the class name of the module that owns it (``Linear``, ``Conv1D``, ``Embedding`` …),
    empty if the model class has no such tensor. ``in_model`` says that the class has it. ``rows_before``
    is how many rows it has in the file if some are left out, else 0. ``is_unused`` says that the model
    class has no place for it: it is then left as it is, and decides nothing.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    file: str
    role: Role = "other"
    layer: str = ""
    in_model: bool = False
    rows_before: int = 0
    is_unused: bool = False

    @property
    def numel_before(self) -> int:
        """Number of elements in the file."""
        if not self.rows_before:
            return self.numel
        return self.rows_before * math.prod(self.shape[1:])

    @property
    def nbytes_before(self) -> int:
        """Bytes of the dense tensor in the file."""
        return self.numel_before * self.dtype.itemsize

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the dense tensor."""
        return self.numel * self.dtype.itemsize

    @property
    def is_float(self) -> bool:
        """Whether passes may change it."""
        return self.dtype in FLOATS

    @property
    def is_transposed(self) -> bool:
        """Whether outputs run along the columns: ``Conv1D`` stores ``[in, out]``."""
        return self.layer == "Conv1D"


def dtype_name(dtype: torch.dtype) -> str:
    """``torch.float16`` → ``"float16"``."""
    return str(dtype).removeprefix("torch.")
