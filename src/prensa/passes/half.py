"""Half precision: two bytes for each weight, and nothing that runs the model needs to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.spec import ROLES, TensorSpec, dtype_name
from prensa.passes.base import EVERYTHING, Pass

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Half(Pass):
    """Round to float16 (default) or bfloat16.

    A tensor with a magnitude that float16 cannot hold stays as it is, and is reported.
    """

    name: ClassVar[str] = "half"
    may_follow_integers: ClassVar[bool] = True
    dtype: str = "float16"
    targets: tuple[str, ...] = ROLES
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not isinstance(self.dtype, str) or self.dtype not in _DTYPES:
            raise RecipeError(f"pass half: dtype must be one of {', '.join(_DTYPES)}, found {self.dtype!r}")

    def dtype_after(self, dtype: torch.dtype) -> torch.dtype:
        """Return the dtype that tensors are rounded to."""
        return _DTYPES[self.dtype]

    def declines(self, largest: float, dtype: torch.dtype) -> str:
        """Leave alone what would overflow."""
        # Compared after rounding: a magnitude just above the largest float16 still rounds to it.
        exact = torch.tensor(largest, dtype=torch.float64)
        rounded = exact.to(_DTYPES[self.dtype])
        if math.isfinite(rounded.item()):
            return ""
        return f"overflows {self.dtype}, kept in {dtype_name(dtype)}"

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:
        """Round to nearest."""
        return rows.to(_DTYPES[self.dtype])
