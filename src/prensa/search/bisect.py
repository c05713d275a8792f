"""The noise nearest to what a budget forbids: bracket it, then halve, in logarithms.

On a cluster several trials are made at a time: a bracket then falls into sections, not into halves.

Size falls with noise and so, except for chance, does quality; every trial is compressed and judged for real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from prensa.passes.gptq import LEAST_NOISE, MOST_NOISE
from prensa.search.trial import Trial

Try = Callable[[Sequence[float]], Sequence[Trial]]
"""Makes a trial with each noise."""

# From one end of a bracket to the other.
_STRIDE = 4.0
# From the least noise to the most: a cluster has room for more, whose power would be no number.
_MOST_STRIDES = math.ceil(math.log(MOST_NOISE / LEAST_NOISE, _STRIDE))
NEAR = 1.1
"""Noises within this factor give files that differ by less than 3 %."""


def last_allowed(
    attempt: Try,
    allows: Callable[[Trial], bool],
    *,
    start: float,
    most: int,
    upwards: bool,
    at_once: int = 1,
) -> Trial | None:
    """Return the last trial that is allowed on the way up, or down, within a factor of ``NEAR``.

    A budget of quality forbids what is above some noise, so the way is ``upwards``; one of bytes forbids what
    is below. ``attempt`` makes up to ``at_once`` trials at a time, ``most`` times at most; None if none of
    them is allowed.
    """
    made: dict[float, Trial] = {}
    kept: Trial | None = None
    noises = _around(start, at_once)
    for _ in range(most):
        for trial in attempt(noises):
            made[trial.noise] = trial
        kept, refused = bracket(made.values(), allows, upwards=upwards)
        if kept is not None and refused is not None:
            if max(kept.noise / refused, refused / kept.noise) <= NEAR:
                break
            noises = _sections(kept.noise, refused, at_once)
            continue
        edge = kept.noise if kept is not None else refused
        assert edge is not None  # noqa: S101  a trial was made, and it is allowed or not
        noises = _beyond(edge, at_once, goes_up=upwards == (kept is not None))
        if not noises:
            # At the end of what a pass takes: there is nothing left to try.
            break
    return kept


def bracket(
    trials: Iterable[Trial], allows: Callable[[Trial], bool], *, upwards: bool
) -> tuple[Trial | None, float | None]:
    """Return the last allowed trial before the first that is not, and the noise of that one."""
    kept: Trial | None = None
    for trial in sorted(trials, key=lambda one: one.noise, reverse=not upwards):
        if not allows(trial):
            return kept, trial.noise
        kept = trial
    return kept, None


def _around(start: float, count: int) -> list[float]:
    """Begin with one noise, or with strides to both sides of it."""
    count = min(count, 2 * _MOST_STRIDES + 1)
    below = (count - 1) // 2
    noises = [_limited(start * _STRIDE**number) for number in range(-below, count - below)]
    return list(dict.fromkeys(noises))


def _sections(kept: float, refused: float, count: int) -> list[float]:
    """Part what lies between two noises into equal sections, none of which is narrower than need be."""
    # Size and quality follow the logarithm of the noise, so that is what is parted.
    steps = math.ceil(abs(math.log(refused / kept)) / math.log(NEAR))
    count = max(1, min(count, steps - 1))
    if count == 1:
        return [math.sqrt(kept * refused)]
    ratio = (refused / kept) ** (1 / (count + 1))
    return [kept * ratio**number for number in range(1, count + 1)]


def _beyond(edge: float, count: int, *, goes_up: bool) -> list[float]:
    """Go on by strides, as far as there are noises that a pass takes."""
    stride = _STRIDE if goes_up else 1 / _STRIDE
    noises = []
    for number in range(1, min(count, _MOST_STRIDES) + 1):
        noise = _limited(edge * stride**number)
        if noise != edge and noise not in noises:
            noises.append(noise)
    return noises


def _limited(noise: float) -> float:
    return min(max(noise, LEAST_NOISE), MOST_NOISE)
