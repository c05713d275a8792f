"""Run a model block by block: nothing inside a block is kept for the way back, where it runs once more.

That is gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) at the model's own joints, the members of
its lists of layers. Where the model is too large for a device, a block's weights are there only while it
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

_Run = Callable[..., tuple[Any, ...]]
_Visit = Callable[[], AbstractContextManager[None]]


@contextmanager
def by_blocks(model: nn.Module, visiting: str | None = None) -> Iterator[None]:
    """Have the blocks of a model run as described while the context lasts.

    ``visiting`` is the device that blocks whose weights lie elsewhere are brought to while they run.
    """
    blocks = blocks_of(model)
    for block in blocks:
        block.forward = partial(_forward, block, block.forward, visiting)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # what was set above, on the object


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """List the members of the outermost lists of layers."""
    found: list[nn.Module] = []
    for child in module.children():
        found += child if isinstance(child, nn.ModuleList) else blocks_of(child)
    return found


def move_all_but_blocks(model: nn.Module, device: str) -> None:
    """Put what stands outside of blocks on a device, for good."""
    inside = {id(each) for block in blocks_of(model) for each in _tensors(block)}
    for each in _tensors(model):
        if id(each) not in inside:
            each.data = each.data.to(device)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@contextmanager
def _visit(block: nn.Module, device: str | None) -> Iterator[None]:
    """Have a block's weights on a device. They stay the same objects, by which their sums are known."""
    home = [(each, each.data) for each in _tensors(block)] if device else []
    try:
        for each, data in home:
            each.data = data.to(device)
        yield
    finally:
        for each, data in home:
            each.data = data


def _forward(block: nn.Module, forward: Any, device: str | None, *arguments: Any, **named: Any) -> Any:
    """Do what ``forward`` does, through :class:`_Again` where gradients will be asked for."""
    leaves, form = pytree.tree_flatten((arguments, named))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    given = [leaves[i] for i in places]
    visit = partial(_visit, block, device)
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in given):
        with visit():
            return forward(*arguments, **named)
    result_form: Any = None

    def run(*tensors: Tensor) -> tuple[Any, ...]:
        nonlocal result_form
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        again, also = pytree.tree_unflatten(filled, form)
        results, result_form = pytree.tree_flatten(forward(*again, **also))
        return tuple(results)

    results = _Again.apply(run, visit, *given)  # type: ignore[no-untyped-call]
    return pytree.tree_unflatten(results, result_form)


class _Again(torch.autograd.Function):
    """Run and keep only what was given, then run once more for the gradients."""

    @staticmethod
    def forward(ctx: Any, run: _Run, visit: _Visit, *given: Tensor) -> tuple[Any, ...]:
        ctx.run, ctx.visit = run, visit
        ctx.save_for_backward(*given)
        with visit():
            return run(*given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [each.detach().requires_grad_(each.requires_grad) for each in ctx.saved_tensors]
        with ctx.visit(), torch.enable_grad():
            results = ctx.run(*given)
            known = [
                (result, gradient)
                for result, gradient in zip(results, gradients, strict=True)
                if gradient is not None and isinstance(result, Tensor) and result.requires_grad
            ]
            torch.autograd.backward([each for each, _ in known], [gradient for _, gradient in known])
        return None, None, *(each.grad for each in given)
