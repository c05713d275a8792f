"""Where what a layer's part gives joins the residual stream.

Every part of a Transformer's layer ends in a matrix whose outputs are added to what came before it. How a
class calls that, and what it does in between (dropout, a change of shape), is seen by following the outputs
to their sum while the layer runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_IN_PLACE = {"add_", "__iadd__"}
_SUMS = {"add", "__add__", "__radd__"} | _IN_PLACE
# What a model may do with the outputs on their way; in a model that answers none of these changes a number.
_PASSED_THROUGH = {"dropout", "view", "reshape", "contiguous", "to", "clone"}


class _Met(Exception):  # noqa: N818  nothing went wrong: it stops a layer that has shown what it was run for
    """The sum was met."""


Run = Callable[[], Tensor]
"""Runs a layer, and returns its hidden states."""


@dataclass(frozen=True)
class Junction:
    """What met at a sum: ``inputs`` of the part's last matrix, its ``outputs``, and the ``stream``."""

    inputs: Tensor
    outputs: Tensor
    stream: Tensor


class _Follow(TorchFunctionMode):
    """Follows the outputs of a matrix to the first sum that takes them in, and may stop the layer there."""

    def __init__(self, *, stops: bool) -> None:
        super().__init__()
        self.stops = stops
        self.inputs: Tensor | None = None
        self.outputs: Tensor | None = None
        self.followed: Tensor | None = None
        self.stream: Tensor | None = None

    def see(self, _: nn.Module, arguments: tuple[Tensor, ...], outputs: Tensor) -> None:
        """Begin: called behind the matrix."""
        self.inputs = arguments[0]
        self.outputs = self.followed = outputs

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if self.followed is None or not any(value is self.followed for value in args):
            return func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in _SUMS:
            self._meet(args, in_place=name in _IN_PLACE)
        result = func(*args, **(kwargs or {}))
        if name in _PASSED_THROUGH and isinstance(result, Tensor):
            self.followed = result
        return result

    def _meet(self, args: Sequence[object], *, in_place: bool) -> None:
        """Keep what a sum is made of, before it is made."""
        for value in args:
            if isinstance(value, Tensor) and value is not self.followed:
                self.stream = value
        if self.stream is None:
            return
        if self.stops:
            raise _Met
        if in_place:
            # One of the two is about to hold the sum.
            assert self.outputs is not None  # noqa: S101  they are what is followed
            # Detached first: a copy of what another part follows would be followed there.
            self.outputs, self.stream = self.outputs.detach().clone(), self.stream.detach().clone()
        self.followed = None

    def junction(self) -> Junction:
        """Return what was seen."""
        assert self.inputs is not None and self.outputs is not None  # noqa: S101, PT018  every part is run
        stream = torch.zeros_like(self.outputs) if self.stream is None else self.stream
        return Junction(self.inputs, self.outputs, stream)


def junction(run: Run, reader: nn.Module) -> Junction:
    """Run a layer up to where the outputs of ``reader`` join the stream.

    Where they do not, as behind a norm of their own (OLMo 2), the stream is nothing: then they can only be
    compared by themselves.
    """
    follow = _Follow(stops=True)
    handle = reader.register_forward_hook(follow.see)
    try:
        with torch.no_grad(), follow:
            run()
    except _Met:
        pass
    finally:
        handle.remove()
    return follow.junction()


def junctions(run: Run, readers: Sequence[nn.Module]) -> tuple[list[Junction], Tensor]:
    """Run a layer to its end: return where the outputs of each reader join the stream, and its states."""
    follows = [_Follow(stops=False) for _ in readers]
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for follow, reader in zip(follows, readers, strict=True):
            stack.callback(reader.register_forward_hook(follow.see).remove)
            stack.enter_context(follow)
        states = run()
    return [follow.junction() for follow in follows], states
