"""Run a model block by block: nothing inside a block is kept for the way back, where it runs once more.

That is gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) at the model's own joints, the members of
its lists of layers. If the model is too large for a device, a block's weights are there only while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils import _pytree as pytree

_Run = Callable[..., tuple[object, ...]]
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
            # What was set above lies on the object, and hides the method of its class.
            del block.forward


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """List the members of the outermost lists of layers."""
    blocks: list[nn.Module] = []
    for child in module.children():
        # What a tensor is parametrized by is such a list, too, and no layer.
        if isinstance(child, ParametrizationList):
            continue
        if isinstance(child, nn.ModuleList):
            blocks += child
        else:
            blocks += blocks_of(child)
    return blocks


def move_all_but_blocks(model: nn.Module, device: str) -> None:
    """Put what stands outside of blocks on a device, for good."""
    inside: set[int] = set()
    for block in blocks_of(model):
        inside.update(map(id, _tensors(block)))
    for tensor in _tensors(model):
        # A tensor that a block shares with the rest visits with the block.
        if id(tensor) not in inside:
            tensor.data = tensor.data.to(device)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@contextmanager
def _visit(block: nn.Module, device: str | None) -> Iterator[None]:
    """Have a block's weights on a device. They stay the same objects, by which their sums are known."""
    homes: list[tuple[Tensor, Tensor]] = []
    if device:
        for tensor in _tensors(block):
            homes.append((tensor, tensor.data))
    try:
        for tensor, data in homes:
            tensor.data = data.to(device)
        yield
    finally:
        # What lay at home was not copied back: weights do not change here.
        for tensor, data in homes:
            tensor.data = data


def _forward(
    block: nn.Module,
    forward: Callable[..., object],
    device: str | None,
    *arguments: object,
    **named: object,
) -> object:
    """Do what ``forward`` does, through :class:`_Again` if gradients will be needed."""
    # Tensors may lie anywhere in what a block is given, and autograd sees only those that it is handed
    # themselves.
    leaves, form = pytree.tree_flatten((arguments, named))
    places: list[int] = []
    given: list[Tensor] = []
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            places.append(place)
            given.append(leaf)
    visit = partial(_visit, block, device)
    needs_gradients = any(tensor.requires_grad for tensor in given)
    if not needs_gradients or not torch.is_grad_enabled():
        with visit():
            return forward(*arguments, **named)
    # Replaced by the form of the results as soon as there are some.
    result_form = form

    def run(*tensors: Tensor) -> tuple[object, ...]:
        nonlocal result_form
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        again, also = pytree.tree_unflatten(filled, form)
        result = forward(*again, **also)
        results, result_form = pytree.tree_flatten(result)
        return tuple(results)

    results = _Again.apply(run, visit, *given)  # type: ignore[no-untyped-call]
    return pytree.tree_unflatten(results, result_form)


class _Context(FunctionCtx):
    """What the way there leaves for the way back."""

    run: _Run
    visit: _Visit
    saved_tensors: tuple[Tensor, ...]


class _Again(torch.autograd.Function):
    """Run and keep only what was given, then run once more for the gradients."""

    @staticmethod
    def forward(ctx: _Context, run: _Run, visit: _Visit, *given: Tensor) -> tuple[object, ...]:
        ctx.run = run
        ctx.visit = visit
        ctx.save_for_backward(*given)
        with visit():
            return run(*given)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        # Cut off from the graph before: what this block was given belongs to the block before it.
        given: list[Tensor] = []
        for tensor in ctx.saved_tensors:
            given.append(tensor.detach().requires_grad_(tensor.requires_grad))
        with ctx.visit(), torch.enable_grad():
            results = ctx.run(*given)
            # Results that nothing behind depends on have no gradient, and others are no tensors.
            outputs: list[Tensor] = []
            of_outputs: list[Tensor] = []
            for result, gradient in zip(results, gradients, strict=True):
                if gradient is not None and isinstance(result, Tensor) and result.requires_grad:
                    outputs.append(result)
                    of_outputs.append(gradient)
            torch.autograd.backward(outputs, of_outputs)
        # `run` and `visit` have none.
        return None, None, *(tensor.grad for tensor in given)
