"""What every pass is, and what it answers where it says nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import ClassVar

import torch
from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized
from prensa.ops.spec import ROLES, TensorSpec
from prensa.ops.statistics import MatrixStatistics

EVERYTHING = slice(None)
MATRIX = 2
"""Dimensions of a matrix."""


class Pass(ABC):
    """A lossy step with its settings: a frozen dataclass whose ``__post_init__`` checks their ranges.

    ``targets`` are roles or patterns of tensor names (``*`` and ``?``), ``ignore`` are patterns of names
    that are left alone all the same. The class attributes say what kind of step it is:

    ``needs_whole``            :meth:`apply` must see all of a tensor, not just any block of its rows
    ``needs_statistics``       it does better with calibration, and overrides :meth:`bind`
    ``goes_by_columns``        with statistics it goes from column to column, and is faster in large blocks
    ``makes_integers``         it leaves integers on a grid; no other pass can work on those
    ``may_follow_integers``    it may stand behind such a pass: it then does nothing to those tensors
    ``prunes_by``              the word that chooses it among the ways of pruning, empty if it is none
    """

    name: ClassVar[str]
    needs_whole: ClassVar[bool] = False
    needs_statistics: ClassVar[bool] = False
    goes_by_columns: ClassVar[bool] = False
    makes_integers: ClassVar[bool] = False
    may_follow_integers: ClassVar[bool] = False
    prunes_by: ClassVar[str] = ""

    @property
    @abstractmethod
    def targets(self) -> tuple[str, ...]:
        """What to work on. A field of the dataclass."""

    @property
    @abstractmethod
    def ignore(self) -> tuple[str, ...]:
        """What to leave alone. A field of the dataclass."""

    @property
    def noise(self) -> float | None:
        """Allowed change of the outputs, None if the pass has no such setting."""
        return None

    @property
    def amount(self) -> float | None:
        """Share of the weights that become zero, None if the pass has no such setting."""
        return None

    def __post_init__(self) -> None:
        """Check ``targets`` and ``ignore``. Raises :class:`RecipeError`."""
        for key, words in (("targets", self.targets), ("ignore", self.ignore)):
            if not _are_words(words):
                raise RecipeError(f"pass {self.name}: {key} must be a list of words, found {words!r}")
        for word in self.targets:
            if word not in ROLES and not is_pattern(word):
                raise RecipeError(
                    f"pass {self.name}: {word!r} is neither a role ({', '.join(ROLES)}) nor a tensor's name"
                )

    def with_settings(self, **settings: object) -> Pass:
        """Return the pass with other settings, and check them. Raises :class:`RecipeError`."""
        changed: Pass = replace(self, **settings)  # type: ignore[type-var]
        return changed

    def with_noise(self, noise: float, relative_to: float) -> Pass:
        """Return the pass with its noise times ``noise ÷ relative_to``; one without noise stays the same."""
        return self

    def is_targeted(self, spec: TensorSpec) -> bool:
        """Whether the settings point at a tensor."""
        for pattern in self.ignore:
            if fnmatchcase(spec.name, pattern):
                return False
        return any(matches(word, spec) for word in self.targets)

    def refuses(self, spec: TensorSpec) -> str:
        """Why it cannot work on a tensor, from what is known before reading; empty if it can."""
        return ""

    def declines(self, largest: float, dtype: torch.dtype) -> str:
        """Why it leaves a tensor alone whose largest magnitude is this; empty if it does not."""
        return ""

    def dtype_after(self, dtype: torch.dtype) -> torch.dtype:
        """Return the dtype of the dense tensor after the pass, of one that had ``dtype`` before."""
        return dtype

    def bind(self, statistics: MatrixStatistics, weights: int) -> Pass | Bound:
        """Return the pass for one matrix of a model with ``weights`` calibrated weights.

        Raises :class:`ValueError` if the statistics cannot be used.
        """
        return self

    @abstractmethod
    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor | Quantized:
        """Choose new values for the rows that are at ``at`` of the tensor. Does not modify ``rows``."""


@dataclass(frozen=True)
class Bound:
    """A pass that knows the statistics of one matrix: ``work`` does what :meth:`Pass.apply` does."""

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

    @property
    def goes_by_columns(self) -> bool:
        """Whether it is faster in large blocks."""
        return self.settings.goes_by_columns

    def declines(self, largest: float, dtype: torch.dtype) -> str:
        """Decline what the pass declines."""
        return self.settings.declines(largest, dtype)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor | Quantized:
        """Choose new values for the rows that are at ``at`` of the matrix."""
        return self.work(rows, spec, at)


def matches(word: str, spec: TensorSpec) -> bool:
    """Whether a target, which is a role or a pattern of names, points at a tensor."""
    return word == spec.role or fnmatchcase(spec.name, word)


def is_pattern(word: str) -> bool:
    """Whether a target is a tensor's name or a pattern of names: roles have no dots and no wildcards."""
    return "." in word or "*" in word or "?" in word


def refuses_all_but_matrices(spec: TensorSpec) -> str:
    """Refuse a tensor that is not a matrix, for :meth:`Pass.refuses`."""
    return "" if len(spec.shape) == MATRIX else "not a matrix"


def check_number(name: str, key: str, value: object, low: float, high: float) -> None:
    """Raise :class:`RecipeError` unless ``value`` is a number from ``low`` to ``high``."""
    # bool is a kind of int, and NaN fails every comparison, so that it is never in the range.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # type: ignore[operator]
        raise RecipeError(f"pass {name}: {key} must be a number from {low:g} to {high:g}, found {value!r}")


def _are_words(value: object) -> bool:
    if not isinstance(value, tuple):
        return False
    for word in value:
        if not isinstance(word, str) or not word:
            return False
    return True
