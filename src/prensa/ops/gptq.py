"""Error feedback: what rounding one column loses, the columns that are still to come make good.

For rows w of a matrix whose loss is Σ (w − q)ᵀ M (w − q), with M the second moment of what the columns are
multiplied with, choosing columns one after the other and moving the others by what the chosen one has lost is
GPTQ (Frantar et al. 2023, arXiv 2210.17323, sections 3.1 to 3.3), which is Babai's nearest plane in the
lattice of M (Chen et al. 2025, arXiv 2507.18553). The grid is not tied to the largest weight: its step is
given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 128  # columns whose losses are spread over the later ones at once
_MOST = 127
_GO, _OF = 2, 4  # of the 2:4 pattern
_FLOOR = 1e-4  # of the mean of the diagonal: a column that no text uses is still worth something
_ATTEMPTS = 12  # times that the dampening is doubled before a moment is given up


@dataclass(frozen=True)
class Feedback:
    """How the loss of a column is spread over the later ones.

    ``order`` are the columns in the order they are chosen, ``factor`` is the upper triangular U ``[columns,
    columns]`` with UᵀU the inverse of the dampened moment in that order. ``variance`` is the mean of what is
    left of each column's moment once the later columns are known: the loss of a unit error.
    """

    order: Tensor
    factor: Tensor
    variance: float


def feedback(moment: Tensor, dampening: float, *, in_order: bool = False) -> Feedback:
    """Prepare the feedback for a second moment ``[columns, columns]``.

    ``dampening`` times its own diagonal is added, which believes correlations less whatever the columns'
    sizes: a few hundred texts exaggerate them. More is added where the moment is singular all the same.
    Columns come in the order of falling moments (the ``act_order`` of GPTQ's code) unless ``in_order``.
    Raises :class:`ValueError` where the moment is not finite or is zero.
    """
    exact = moment.double()
    own = exact.diagonal()
    if not torch.isfinite(exact).all() or own.mean() <= 0:
        raise ValueError("expected a finite second moment that is not zero")
    order = torch.arange(len(exact)) if in_order else torch.argsort(own, descending=True, stable=True)
    added = (own * dampening + own.mean() * _FLOOR)[order]
    exact = exact[order[:, None], order]  # large, as what follows: each takes the place of the one before
    for _ in range(_ATTEMPTS):
        exact.diagonal().add_(added)
        lower, failed = torch.linalg.cholesky_ex(exact)
        if not failed:
            break
        added *= 2
    else:
        raise ValueError("the second moment is not positive, whatever is added to its diagonal")
    exact = torch.cholesky_inverse(lower)
    del lower
    factor = torch.linalg.cholesky(exact, upper=True)
    return Feedback(order, factor.float(), float((factor.diagonal() ** -2).mean()))


def round_with_feedback(rows: Tensor, step: Tensor, spread: Feedback, kept: Tensor | None = None) -> Tensor:
    """Choose int8 values so that ``values × step`` comes near ``rows`` where it matters.

    ``rows`` ``[rows, columns]`` in float32, ``step`` ``[rows]``; values are cut off at ±127, which is made
    good like rounding. ``kept`` ``[rows, columns]`` is false where the value must be zero.
    """
    columns = rows.t()[spread.order].contiguous()  # a column lies together
    mask = None if kept is None else kept.t()[spread.order]
    values = torch.empty_like(columns)
    losses = torch.empty_like(columns[:_BLOCK])
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        factor = spread.factor[start:stop]
        for at in range(start, stop):
            chosen = torch.div(columns[at], step).round_().clamp_(-_MOST, _MOST)
            if mask is not None:
                chosen *= mask[at]
            values[at] = chosen
            loss = torch.sub(columns[at], chosen.mul_(step), out=losses[at - start])
            loss /= factor[at - start, at]
            columns[at + 1 : stop].addr_(factor[at - start, at + 1 : stop], loss, alpha=-1)
        columns[stop:].addmm_(factor[:, stop:].t(), losses[: stop - start], alpha=-1)
    original_order = torch.empty_like(values)
    original_order[spread.order] = values
    return original_order.t().to(torch.int8)


def prune_with_feedback(rows: Tensor, amount: float | None, spread: Feedback) -> Tensor:
    """Set elements of ``rows`` ``[rows, columns]`` to zero and let the others make it good.

    Of each block of columns the share ``amount`` goes, or two of every four columns where it is None: those
    that cost least, by their square over the squared diagonal of the factor (optimal brain surgeon).
    """
    columns = rows.t()[spread.order].contiguous()
    losses = torch.empty_like(columns[:_BLOCK])
    diagonal = spread.factor.diagonal()
    planned = _cheapest(columns / diagonal[:, None], round((amount or 0.0) * columns.numel()))
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        factor = spread.factor[start:stop]
        gone = torch.zeros_like(columns[start:stop], dtype=torch.bool)
        if amount is not None:
            costs = columns[start:stop] / diagonal[start:stop, None]
            gone = _cheapest(costs, int(planned[start:stop].sum()))
        for at in range(start, stop):
            if amount is None and at % _OF == 0 and at + _OF <= len(columns):
                costs = (columns[at : at + _OF] / diagonal[at : at + _OF, None]).square()
                gone[at - start : at - start + _OF].scatter_(
                    0, costs.argsort(dim=0, stable=True)[:_GO], value=True
                )
            loss = torch.mul(columns[at], gone[at - start], out=losses[at - start])
            columns[at] -= loss
            loss /= factor[at - start, at]
            columns[at + 1 : stop].addr_(factor[at - start, at + 1 : stop], loss, alpha=-1)
        columns[stop:].addmm_(factor[:, stop:].t(), losses[: stop - start], alpha=-1)
    original_order = torch.empty_like(columns)
    original_order[spread.order] = columns
    return original_order.t().contiguous()


def _cheapest(costs: Tensor, count: int) -> Tensor:
    """Mark the ``count`` smallest magnitudes."""
    flat = costs.abs().reshape(-1)
    gone = torch.zeros_like(flat, dtype=torch.bool)
    gone[flat.argsort(stable=True)[:count]] = True
    return gone.reshape(costs.shape)
