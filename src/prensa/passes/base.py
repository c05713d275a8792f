"""What every pass does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized
from prensa.spec import ROLES, TensorSpec

EVERYTHING = slice(None)


class Pass(Protocol):
    """A lossy step with its settings: a frozen dataclass whose constructor checks their ranges.

    ``targets`` are roles or patterns of tensor names (``*`` and ``?``), ``ignore`` are patterns of names
    that are left alone all the same. ``needs_whole`` says that :meth:`apply` must see all of a tensor;
    otherwise it may be given any group of rows. ``needs_statistics`` says that it does better with what
    calibration knows of a tensor, and has a method ``bind`` that takes it.
    """

    name: ClassVar[str]
    needs_whole: ClassVar[bool]
    needs_statistics: ClassVar[bool]

    @property
    def targets(self) -> tuple[str, ...]:
        """What to work on."""

    @property
    def ignore(self) -> tuple[str, ...]:
        """What to leave alone."""

    def refuses(self, spec: TensorSpec) -> str:
        """Why it cannot work on a tensor, from what is known before reading; empty if it can."""

    def declines(self, largest: float, dtype: torch.dtype) -> str:
        """Why it leaves a tensor alone whose largest magnitude is this; empty if it does not."""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor | Quantized:
        """Choose new values for the rows that are at ``at`` of the tensor. Does not modify ``rows``."""


@dataclass(frozen=True)
class Bound:
    """A pass that knows what calibration knows of one matrix: ``work`` does what :meth:`Pass.apply` does."""

    settings: Pass
    work: Callable[[Tensor, TensorSpec, slice], Tensor | Quantized]

    @property
    def name(self) -> str:
        """The pass's name."""
        return self.settings.name

    @property
    def needs_whole(self) -> bool:
        """Whether it must see all of a tensor."""
        return self.settings.needs_whole

    def declines(self, largest: float, dtype: torch.dtype) -> str:
        """Decline what the pass declines."""
        return self.settings.declines(largest, dtype)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor | Quantized:
        """Choose new values for the rows that are at ``at`` of the matrix."""
        return self.work(rows, spec, at)


def is_targeted(step: Pass, spec: TensorSpec) -> bool:
    """Whether the settings of a pass point at a tensor."""
    named = spec.role in step.targets or any(fnmatchcase(spec.name, glob) for glob in step.targets)
    return named and not any(fnmatchcase(spec.name, glob) for glob in step.ignore)


def check_targets(name: str, targets: tuple[str, ...], ignore: tuple[str, ...]) -> None:
    """Raise :class:`RecipeError` unless both are lists of words; a word that is no role must be a pattern."""
    for key, value in (("targets", targets), ("ignore", ignore)):
        if not isinstance(value, tuple) or not all(isinstance(word, str) and word for word in value):
            raise RecipeError(f"pass {name}: {key} must be a list of words, found {value!r}")
    for word in targets:
        if word not in ROLES and not any(sign in word for sign in ".*?"):
            raise RecipeError(
                f"pass {name}: {word!r} is neither a role ({', '.join(ROLES)}) nor a tensor's name"
            )


def check_pattern(name: str, pattern: object) -> None:
    """Raise :class:`RecipeError` unless ``pattern`` is one that can be pruned to."""
    if pattern not in {"", "2:4"}:
        raise RecipeError(f"pass {name}: pattern must be '2:4', or '' for none, found {pattern!r}")


def check_number(name: str, key: str, value: object, low: float, high: float) -> None:
    """Raise :class:`RecipeError` unless ``value`` is a number from ``low`` to ``high``."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124
    if not is_number or not low <= value <= high:  # type: ignore[operator]
        raise RecipeError(f"pass {name}: {key} must be a number from {low:g} to {high:g}, found {value!r}")
