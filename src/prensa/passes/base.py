"""What every pass does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Protocol

from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized
from prensa.spec import ROLES, TensorSpec


@dataclass(frozen=True)
class Outcome:
    """What a pass made of a tensor, with a remark where that is not what was asked for."""

    value: Tensor | Quantized
    note: str = ""


class Pass(Protocol):
    """A lossy step with its settings. A frozen dataclass whose constructor checks their ranges.

    ``targets`` are roles or patterns of tensor names (``*`` and ``?``), ``ignore`` are patterns of names
    that are left alone all the same.
    """

    name: ClassVar[str]
    targets: tuple[str, ...]
    ignore: tuple[str, ...]

    def refuses(self, spec: TensorSpec) -> str:
        """Why this pass cannot work on a tensor that it targets; empty if it can."""

    def apply(self, weight: Tensor, spec: TensorSpec) -> Outcome:
        """Choose new values. Does not modify ``weight``."""


def is_targeted(step: Pass, spec: TensorSpec) -> bool:
    """Whether the settings of a pass point at a tensor."""
    named = spec.role in step.targets or any(fnmatchcase(spec.name, glob) for glob in step.targets)
    return named and not any(fnmatchcase(spec.name, glob) for glob in step.ignore)


def check_targets(name: str, targets: tuple[str, ...], ignore: tuple[str, ...]) -> None:
    """Raise :class:`RecipeError` unless both are lists of words; a word that is no role must be a pattern."""
    for key, value in (("targets", targets), ("ignore", ignore)):
        if not isinstance(value, tuple) or not all(
            isinstance(word, str) and word for word in value
        ):
            raise RecipeError(f"pass {name}: {key} must be a list of words, found {value!r}")
    for word in targets:
        if word not in ROLES and not any(sign in word for sign in ".*?"):
            raise RecipeError(
                f"pass {name}: {word!r} is neither a role ({', '.join(ROLES)}) nor a tensor's name"
            )


def check_number(name: str, key: str, value: object, low: float, high: float) -> None:
    """Raise :class:`RecipeError` unless ``value`` is a number from ``low`` to ``high``."""
    is_number = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    )
    if not is_number or not low <= value <= high:  # type: ignore[operator]
        raise RecipeError(
            f"pass {name}: {key} must be a number from {low:g} to {high:g}, found {value!r}"
        )
