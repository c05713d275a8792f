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

# Columns whose losses are spread over the later ones at once: within a block each column waits for the one
# before it, but all later blocks take the whole block's losses in one fast matrix product.
_BLOCK = 128

_MOST = 127
"""The largest magnitude of int8 that has a counterpart of the other sign."""

_FLOOR = 1e-4
"""Share of the diagonal's mean that is added to it: a column that no text uses still has some weight."""

_ATTEMPTS = 12
"""How often the dampening is doubled before a moment is given up."""


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


def feedback(moment: Tensor, dampening: float) -> Feedback:
    """Prepare the feedback for a second moment ``[columns, columns]``.

    ``dampening`` times its own diagonal is added, which trusts correlations less whatever the columns'
    sizes: a few hundred texts exaggerate them. More is added if the moment is singular all the same.
    Columns come in the order of falling moments (the ``act_order`` of GPTQ's code).
    Raises :class:`ValueError` if the moment is not finite or is zero.
    """
    exact = moment.double()
    # These matrices are large, so each is let go as soon as the next one is there.
    del moment
    diagonal = exact.diagonal()
    is_finite = torch.isfinite(exact).all()
    if not is_finite or diagonal.mean() <= 0:
        raise ValueError("expected a finite second moment that is not zero")
    # Stable: columns with equal moments stay in order, on every machine.
    order = torch.argsort(diagonal, descending=True, stable=True)
    floor = diagonal.mean() * _FLOOR
    backwards = order.flip(0)
    added = (diagonal * dampening + floor)[backwards]

    # With the columns turned round, M is L Lᵀ; turned back, L is an upper triangle A with M = A Aᵀ. So U is
    # the inverse of A: one triangle is solved, and the inverse of M is not needed.
    del diagonal
    exact = exact[backwards[:, None], backwards]
    lower = _cholesky(exact, added)
    del exact
    inverse = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    # In place: what was the identity becomes its solution.
    torch.linalg.solve_triangular(lower, inverse, upper=False, out=inverse)
    del lower

    variance = (inverse.diagonal() ** -2).mean()
    factor = inverse.float().flip(0, 1)
    return Feedback(order, factor, float(variance))


def _cholesky(moment: Tensor, added: Tensor) -> Tensor:
    """Return the lower factor of a moment with ``added`` on its diagonal, as often as it takes.

    Changes both in place. Raises :class:`ValueError` if nothing helps.
    """
    for _ in range(_ATTEMPTS):
        moment.diagonal().add_(added)
        lower: Tensor
        lower, failed = torch.linalg.cholesky_ex(moment)
        if not failed:
            return lower
        added *= 2
    raise ValueError("the second moment is not positive, whatever is added to its diagonal")


def round_with_feedback(rows: Tensor, step: Tensor, spread: Feedback, kept: Tensor | None = None) -> Tensor:
    """Choose int8 values so that ``values × step`` comes near ``rows`` where it matters.

    ``rows`` ``[rows, columns]`` in float32, ``step`` ``[rows]``; values are clamped to ±127, which is made
    good like rounding. ``kept`` ``[rows, columns]`` is false where the value must be zero.
    """
    # Turned over, so that a column lies together in memory.
    columns = rows.t()[spread.order].contiguous()
    mask = None if kept is None else kept.t()[spread.order]
    values = torch.empty_like(columns)
    losses = torch.empty_like(columns[:_BLOCK])
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        for at in range(start, stop):
            column = columns[at]
            chosen = torch.div(column, step)
            chosen.round_().clamp_(-_MOST, _MOST)
            if mask is not None:
                chosen *= mask[at]
            values[at] = chosen
            # ``chosen`` is needed no more: it becomes the rounded column, without another tensor.
            rounded = chosen.mul_(step)
            loss = losses[at - start]
            torch.sub(column, rounded, out=loss)
            _spread_in_block(columns, loss, spread.factor, at, stop)
        _spread_behind(columns, losses, spread.factor, start, stop)
    return _in_original_order(values, spread).to(torch.int8)


def prune_with_feedback(rows: Tensor, amount: float, spread: Feedback) -> Tensor:
    """Set elements of ``rows`` ``[rows, columns]`` to zero and let the others make it good.

    The share ``amount`` goes, those that cost least by their square over the squared diagonal of the factor
    (optimal brain surgeon).
    """
    columns = rows.t()[spread.order].contiguous()
    losses = torch.empty_like(columns[:_BLOCK])
    diagonal = spread.factor.diagonal()
    # How many go from each block is decided before any weight moves, so that the share is exact; which ones
    # go is decided when the block's turn comes, from the weights as they then are.
    costs = columns / diagonal[:, None]
    count = round(amount * columns.numel())
    planned = _cheapest(costs, count)
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        block = columns[start:stop]
        costs = block / diagonal[start:stop, None]
        count = int(planned[start:stop].sum())
        pruned = _cheapest(costs, count)
        for at in range(start, stop):
            column = columns[at]
            loss = losses[at - start]
            torch.mul(column, pruned[at - start], out=loss)
            column -= loss
            _spread_in_block(columns, loss, spread.factor, at, stop)
        _spread_behind(columns, losses, spread.factor, start, stop)
    return _in_original_order(columns, spread).contiguous()


def _spread_in_block(columns: Tensor, loss: Tensor, factor: Tensor, at: int, stop: int) -> None:
    """Let the columns behind ``at``, up to ``stop``, make good what it lost. Scales ``loss`` in place."""
    loss /= factor[at, at]
    later = columns[at + 1 : stop]
    weights = factor[at, at + 1 : stop]
    later.addr_(weights, loss, alpha=-1)


def _spread_behind(columns: Tensor, losses: Tensor, factor: Tensor, start: int, stop: int) -> None:
    """Let all columns behind a block make good what its columns lost: ``losses``, scaled already."""
    later = columns[stop:]
    weights = factor[start:stop, stop:].t()
    in_block = losses[: stop - start]
    later.addmm_(weights, in_block, alpha=-1)


def _in_original_order(columns: Tensor, spread: Feedback) -> Tensor:
    """Return columns that are in the order of choosing as rows of the matrix again."""
    original = torch.empty_like(columns)
    original[spread.order] = columns
    return original.t()


def _cheapest(costs: Tensor, count: int) -> Tensor:
    """Mark the ``count`` smallest magnitudes; of equal ones the first, on every machine."""
    flat = costs.abs().reshape(-1)
    marked = torch.zeros_like(flat, dtype=torch.bool)
    smallest = flat.argsort(stable=True)[:count]
    marked[smallest] = True
    return marked.reshape(costs.shape)
