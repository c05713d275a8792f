"""How much smaller a model's structure becomes, as a recipe or a command line says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prensa.amounts import seconds_of
from prensa.errors import RecipeError, SettingError

NAME = "shrink"

_MOST = 100.0


@dataclass(frozen=True)
class Shrink:
    """Take away what the outputs depend on least, until the model is ``faster`` times as fast.

    ``faster`` is measured where the result will run; 0 is as fast as a budget allows. ``neurons``, ``heads``
    and ``layers`` say what may go. ``texts`` is how many texts the rest is fitted on, and ``distill`` for how
    many seconds it then learns the original's answers on all of them.
    """

    faster: float = 0.0
    neurons: bool = True
    heads: bool = True
    layers: bool = True
    texts: int = 768
    distill: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_number("faster", self.faster)
        if self.faster and not 1 < self.faster <= _MOST:
            raise RecipeError(f"{NAME}: faster must be above 1 and at most {_MOST:g}, found {self.faster!r}")
        for key in ("neurons", "heads", "layers"):
            value = getattr(self, key)
            if not isinstance(value, bool):
                raise RecipeError(f"{NAME}: {key} must be true or false, found {value!r}")
        if not (self.neurons or self.heads or self.layers):
            raise RecipeError(f"{NAME}: one of neurons, heads and layers must be true")
        is_whole = isinstance(self.texts, int) and not isinstance(self.texts, bool)
        if not is_whole or self.texts < 1:
            raise RecipeError(f"{NAME}: texts must be a whole number above 0, found {self.texts!r}")
        _check_number("distill", self.distill)
        if not 0 <= self.distill < math.inf:
            raise RecipeError(f"{NAME}: distill must be seconds, found {self.distill!r}")


def shrink_from(
    shrink: Shrink | bool,  # noqa: FBT001  the word on the command line is a switch
    faster: float | str | None,
    distill: float | str | None,
) -> Shrink | None:
    """Read what a command line or a caller says; None if nothing is to be shrunk.

    ``faster`` is a number or ``"2x"``, ``distill`` seconds or ``"10min"``. Raises :class:`SettingError` for
    anything else.
    """
    settings = Shrink() if isinstance(shrink, bool) else shrink
    wanted = shrink is not False or faster is not None
    if distill is not None and not wanted:
        raise SettingError("`distill` needs `shrink` or `faster`: it teaches a model that was made smaller")
    if not wanted:
        return None
    return Shrink(
        faster=settings.faster if faster is None else _times(faster),
        neurons=settings.neurons,
        heads=settings.heads,
        layers=settings.layers,
        texts=settings.texts,
        distill=settings.distill if distill is None else seconds_of(distill, "distill"),
    )


def _times(value: float | str) -> float:
    text = str(value).strip().lower()
    try:
        times = float(text.removesuffix("x").removesuffix("×"))
    except ValueError:
        times = 0.0
    # Not a number is above nothing.
    if not 1 < times <= _MOST:
        raise SettingError(f"`faster`: expected how many times as fast, such as 2x, found {value!r}")
    return times


def _check_number(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecipeError(f"{NAME}: {key} must be a number, found {value!r}")
