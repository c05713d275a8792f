"""Optimal brain surgeon on groups of columns: which inputs of a matrix can go, and what each one costs.

A matrix W gives ``W·x``. Without some of its inputs x, and with the other columns fitted to make good for
them, what it gives changes by ``tr(r W_S [H⁻¹]_SS⁻¹ W_Sᵀ)``, where H is the second moment of x, S the columns
that go and r what a squared change of each output is worth. Groups go one after the other, the cheapest
first; the inverse of H without them follows from the one before (Hassibi and Stork 1993; Frantar and
Alistarh 2022, arXiv 2208.11580; Kurtic et al. 2023, arXiv 2302.04089, for groups).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Share of the diagonal's mean that is added to it: so that there is an inverse.
_DAMPENING = 0.01


@dataclass(frozen=True)
class RemovalPath:
    """In which order units go. ``order`` has their numbers ``[units]``, the first to go first.

    ``gone`` are numbers of units and ``costs`` what it costs that so many are gone, both ascending from 0.
    """

    order: Tensor
    gone: tuple[int, ...]
    costs: tuple[float, ...]

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.order)

    def kept(self, count: int) -> Tensor:
        """Return the numbers of the ``count`` units that stay, ascending."""
        stay = self.order[self.units - count :]
        return stay.sort().values


def removal_path(
    weight: Tensor, moment: Tensor, importance: Tensor, columns: Tensor, step: int
) -> RemovalPath:
    """Take the units of a matrix ``[rows, columns]`` away, ``step`` at a time, until none is left.

    ``moment`` ``[columns, columns]`` is that of its inputs, ``importance`` ``[rows]`` what a squared change
    of each output is worth, and ``columns`` ``[units, size]`` are the columns of each unit. Raises
    :class:`ValueError` for a moment that is not finite or zero.
    """
    left_weight = weight.double().clone()
    inverse = torch.linalg.inv(damped(moment))
    worth = importance.double()
    left = torch.arange(len(columns))
    order: list[Tensor] = []
    gone = [0]
    costs = [0.0]
    while len(left):
        prices = _prices(left_weight, inverse, worth, columns[left])
        # Stable, so that equal units go in the same order on every machine.
        cheapest = torch.argsort(prices, stable=True)[:step]
        going = columns[left[cheapest]].reshape(-1)
        cost = _take(left_weight, inverse, worth, going)
        order.append(left[cheapest])
        stays = torch.ones(len(left), dtype=torch.bool)
        stays[cheapest] = False
        left = left[stays]
        gone.append(gone[-1] + len(cheapest))
        # Rounding may make a tiny cost negative.
        costs.append(costs[-1] + max(cost, 0.0))
    return RemovalPath(torch.cat(order), tuple(gone), tuple(costs))


def damped(moment: Tensor) -> Tensor:
    """Return a moment in float64 that has an inverse. Raises :class:`ValueError` for one of no use."""
    exact = moment.double().clone()
    mean = exact.diagonal().mean()
    if not torch.isfinite(exact).all() or mean <= 0:
        raise ValueError("expected a finite second moment that is not zero")
    exact.diagonal().add_(_DAMPENING * mean)
    return exact


def _prices(weight: Tensor, inverse: Tensor, worth: Tensor, columns: Tensor) -> Tensor:
    """Return what each unit ``[units, size]`` alone would cost."""
    blocks = inverse[columns[:, :, None], columns[:, None, :]]
    parts = weight[:, columns]
    weighted = (worth[:, None, None] * parts).permute(1, 2, 0)
    # [units, size, size]: how the columns of a unit go together in the outputs.
    products = weighted @ parts.permute(1, 0, 2)
    inner = torch.linalg.inv(blocks)
    prices: Tensor = (inner * products).sum(dim=(1, 2))
    return prices


def _take(weight: Tensor, inverse: Tensor, worth: Tensor, going: Tensor) -> float:
    """Take columns away, in place, and return what it costs."""
    inner = torch.linalg.inv(inverse[going[:, None], going])
    change = weight[:, going] @ inner
    cost = float((worth[:, None] * change * weight[:, going]).sum())
    weight -= change @ inverse[going]
    inverse -= inverse[:, going] @ inner @ inverse[going]
    # What is left of them is rounding. An inverse of one keeps later blocks apart from them.
    weight[:, going] = 0
    inverse[:, going] = 0
    inverse[going] = 0
    inverse[going, going] = 1
    return cost
