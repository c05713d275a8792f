"""Half precision: two bytes for each weight, and nothing that runs the model needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prensa.errors import RecipeError
from prensa.passes.base import Outcome, check_targets
from prensa.spec import ROLES, TensorSpec

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Half:
    """Round to float16 (default) or bfloat16.

    A tensor with a magnitude that float16 cannot hold stays as it is, and is reported.
    """

    name: ClassVar[str] = "half"
    dtype: str = "float16"
    targets: tuple[str, ...] = ROLES
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        if self.dtype not in _DTYPES:
            raise RecipeError(
                f"pass half: dtype must be one of {', '.join(_DTYPES)}, found {self.dtype!r}"
            )

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype that tensors are rounded to."""
        return _DTYPES[self.dtype]

    def refuses(self, spec: TensorSpec) -> str:  # noqa: ARG002
        """Take every float tensor."""
        return ""

    def apply(self, weight: Tensor, spec: TensorSpec) -> Outcome:  # noqa: ARG002
        """Round, or leave alone what would overflow."""
        rounded = weight.to(self.torch_dtype)
        low, high = rounded.aminmax() if rounded.numel() else (rounded.sum(), rounded.sum())
        if torch.isfinite(low) and torch.isfinite(high):
            return Outcome(rounded)
        return Outcome(
            weight, f"overflows {self.dtype}, kept in {str(weight.dtype).removeprefix('torch.')}"
        )
