"""Which layers of an export go back to more bits: as few as keep what it must keep.

Layers are ordered by what they cost. Groups of them go back that grow twofold until an export holds; then the
smallest such group is looked for in between. That takes about twice as many exports as the number of layers
has binary digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prensa.serving.costs import Step
from prensa.serving.layers import Layer
from prensa.serving.weights import FLOAT

LEAST = 0.25
"""Of the weights in products, what must stay in 8 bits. With less, another precision is the better one."""


def fewest(holds: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number from 1 to ``most`` that holds, None if ``most`` does not hold.

    Whatever is above a number that holds is taken to hold, too.
    """
    if most < 1:
        return None
    failed = 0
    count = 1
    while not holds(count):
        if count == most:
            return None
        failed = count
        count = min(2 * count, most)
    while count - failed > 1:
        middle = (failed + count) // 2
        if holds(middle):
            count = middle
        else:
            failed = middle
    return count


def most_steps(steps: Sequence[Step], layers: Sequence[Layer]) -> int:
    """Return how many of the steps leave :data:`LEAST` of the weights in products in 8 bits."""
    in_all = sum(layer.products for layer in layers)
    in_float = 0
    for number, step in enumerate(steps):
        if step.bits == FLOAT:
            in_float += step.layer.products
        if in_float > (1 - LEAST) * in_all:
            return number
    return len(steps)


def bits_after(steps: Sequence[Step]) -> dict[str, int]:
    """Return the bits that layers have after some steps, by the digest of their weights."""
    bits: dict[str, int] = {}
    for step in steps:
        bits[step.layer.digest] = max(step.bits, bits.get(step.layer.digest, 0))
    return bits
