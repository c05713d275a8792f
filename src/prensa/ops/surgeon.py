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
    # The columns of a unit side by side: then it is a block of the matrix and of the inverse.
    by_unit = columns.reshape(-1)
    size = columns.shape[1]
    left_weight = weight.double()[:, by_unit]
    inverse = torch.linalg.inv(damped(moment))[by_unit][:, by_unit]
    worth = importance.double()
    left = torch.arange(len(columns))
    order: list[Tensor] = []
    gone = [0]
    costs = [0.0]
    while len(left):
        prices = _prices(left_weight, inverse, worth, size)
        # Stable, so that equal units go in the same order on every machine.
        cheapest = torch.argsort(prices, stable=True)[:step]
        stays = torch.ones(len(left), dtype=torch.bool)
        stays[cheapest] = False
        left_weight, inverse, cost = _take(left_weight, inverse, worth, stays.repeat_interleave(size))
        order.append(left[cheapest])
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


def _prices(weight: Tensor, inverse: Tensor, worth: Tensor, size: int) -> Tensor:
    """Return what each unit of ``size`` columns alone would cost ``[units]``."""
    units = len(inverse) // size
    # [units, size, size]: of each unit its own block.
    blocks = inverse.view(units, size, units, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    parts = weight.view(len(weight), units, size).transpose(0, 1)
    # [units, size, size]: how the columns of a unit go together in the outputs.
    products = torch.einsum("urs,r,urt->ust", parts, worth, parts)
    inner = torch.linalg.inv(blocks)
    prices: Tensor = (inner * products).sum(dim=(1, 2))
    return prices


def _take(weight: Tensor, inverse: Tensor, worth: Tensor, stays: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return the columns that stay, fitted, the inverse for them alone, and what it costs.

    ``stays`` ``[columns]`` is true for them.
    """
    kept, going = stays.nonzero().squeeze(1), (~stays).nonzero().squeeze(1)
    inner = torch.linalg.inv(inverse[going][:, going])
    lost = weight[:, going]
    change = lost @ inner
    cost = float((worth[:, None] * change * lost).sum())
    between = inverse[going][:, kept]
    # In place: what is left grows smaller with each step, and nothing of its size is made twice.
    left_weight = weight[:, kept].addmm_(change, between, alpha=-1)
    left = inverse[kept][:, kept].addmm_(between.t() @ inner, between, alpha=-1)
    return left_weight, left, cost
