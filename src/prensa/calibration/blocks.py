"""Run a model block by block: nothing inside a block is kept for the way back, where it runs once more.

That is gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) at the model's own joints, the members of
its lists of layers. If the model is too large for a device, a block's weights are there only while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    for _, layers in lists_of_layers(module):
        blocks += layers
    return blocks


def lists_of_layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    """Yield the outermost lists of modules by their dotted names. ``name`` is that of the module itself."""
    for child_name, child in module.named_children():
        # What a tensor is parametrized by is such a list, too, and no layer.
        if isinstance(child, ParametrizationList):
            continue
        full = f"{name}.{child_name}".removeprefix(".")
        if isinstance(child, nn.ModuleList):
            yield full, child
        else:
            yield from lists_of_layers(child, full)


class Call:
    """What a block is given: its tensors, ``given``, apart from everything else.

    Tensors may lie anywhere in its arguments, and autograd sees only those that it is handed themselves.
    ``result_form`` is how what :meth:`run` returns is put together, once it ran.
    """

    def __init__(
        self,
        forward: Callable[..., object],
        arguments: Sequence[object],
        named: Mapping[str, object],
    ) -> None:
        self._forward = forward
        self._leaves, self._form = pytree.tree_flatten((tuple(arguments), dict(named)))
        self._places: list[int] = []
        self.given: list[Tensor] = []
        for place, leaf in enumerate(self._leaves):
            if isinstance(leaf, Tensor):
                self._places.append(place)
                self.given.append(leaf)
        # Replaced by the form of the results as soon as there are some.
        self.result_form = self._form

    @property
    def needs_gradients(self) -> bool:
        """Whether what is given has gradients, and autograd records them."""
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in self.given)

    def run(self, *tensors: Tensor) -> tuple[object, ...]:
        """Run the block on these tensors in place of those that were given, and list its results."""
        filled = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            filled[place] = tensor
        arguments, named = pytree.tree_unflatten(filled, self._form)
        results, self.result_form = pytree.tree_flatten(self._forward(*arguments, **named))
        return tuple(results)


def gradients_of(
    run: _Run, given: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Run a block for the way back: from the gradients of its results to those of what it was given."""
    # Cut off from the graph before: what this block was given belongs to the block before it.
    inputs: list[Tensor] = []
    for tensor in given:
        inputs.append(tensor.detach().requires_grad_(tensor.requires_grad))
    with torch.enable_grad():
        results = run(*inputs)
        # Results that nothing behind depends on have no gradient, and others are no tensors.
        outputs: list[Tensor] = []
        of_outputs: list[Tensor] = []
        for result, gradient in zip(results, gradients, strict=True):
            if gradient is not None and isinstance(result, Tensor) and result.requires_grad:
                outputs.append(result)
                of_outputs.append(gradient)
        torch.autograd.backward(outputs, of_outputs)
    return [tensor.grad for tensor in inputs]


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
    call = Call(forward, arguments, named)
    visit = partial(_visit, block, device)
    if not call.needs_gradients:
        with visit():
            return forward(*arguments, **named)
    results = _Again.apply(call.run, visit, *call.given)  # type: ignore[no-untyped-call]
    return pytree.tree_unflatten(results, call.result_form)


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
        with ctx.visit():
            found = gradients_of(ctx.run, ctx.saved_tensors, gradients)
        # `run` and `visit` have none.
        return None, None, *found
