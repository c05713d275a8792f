"""For how long a compressed model learns, as a recipe or a command line says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prensa.amounts import seconds_of
from prensa.errors import RecipeError

NAME = "heal"


@dataclass(frozen=True)
class Heal:
    """Have what is stored beside the integers learn the original's answers, for so many ``seconds``.

    With ``steps`` it ends after that many instead, without a look at the clock: only then do the same texts
    give the same bytes again. ``learning_rate`` is the largest; it rises to it and falls to 0.
    """

    seconds: float = 600.0
    steps: int | None = None
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        """Check the settings. Raises :class:`RecipeError`."""
        for key in ("seconds", "learning_rate"):
            value = getattr(self, key)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 < value < math.inf:
                raise RecipeError(f"{NAME}: {key} must be a number above 0, found {value!r}")
        if self.steps is None:
            return
        is_whole = isinstance(self.steps, int) and not isinstance(self.steps, bool)
        if not is_whole or self.steps < 1:
            raise RecipeError(f"{NAME}: steps must be a whole number above 0, found {self.steps!r}")


def heal_from(value: Heal | float | str | None) -> Heal | None:
    """Read what a command line, a recipe or a caller says: seconds, or ``"10min"``; None for nothing.

    Raises :class:`~prensa.errors.SettingError` for anything else.
    """
    if value is None or isinstance(value, Heal):
        return value
    return Heal(seconds=seconds_of(value, NAME))
