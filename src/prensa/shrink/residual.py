"""Where what a layer's part gives joins the residual stream.

Every part of a Transformer's layer ends in a matrix whose outputs are added to what came before it. How a
class calls that, and what it does in between (dropout, a change of shape), is seen by following the outputs
to their sum while the layer runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SUMS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
# What a model may do with the outputs on their way; in a model that answers none of these changes a number.
_PASSED_THROUGH = {"dropout", "view", "reshape", "contiguous", "to", "clone"}


class _Met(Exception):  # noqa: N818  nothing went wrong: it stops a layer that has shown what it was run for
    """The sum was met."""


@dataclass(frozen=True)
class Junction:
    """What met at a sum: ``inputs`` of the part's last matrix, its ``outputs``, and the ``stream``."""

    inputs: Tensor
    outputs: Tensor
    stream: Tensor


class _Follow(TorchFunctionMode):
    """Follows a tensor to the first sum that takes it in."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: Tensor | None = None
        self.stream: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if self.followed is None or not any(value is self.followed for value in args):
            return result
        name = getattr(func, "__name__", "")
        if name in _PASSED_THROUGH and isinstance(result, Tensor):
            self.followed = result
        elif name in _SUMS:
            for value in args:
                if isinstance(value, Tensor) and value is not self.followed:
                    self.stream = value
                    raise _Met
        return result


def junction(run: Callable[[], object], reader: nn.Module) -> Junction:
    """Run a layer up to where the outputs of ``reader`` join the stream.

    Where they do not, as behind a norm of their own (OLMo 2), the stream is nothing: then they can only be
    compared by themselves.
    """
    follow = _Follow()
    seen: list[Tensor] = []

    def see(_: nn.Module, arguments: tuple[Tensor, ...], outputs: Tensor) -> None:
        seen[:] = [arguments[0], outputs]
        follow.followed = outputs

    handle = reader.register_forward_hook(see)
    try:
        with torch.no_grad(), follow:
            run()
    except _Met:
        inputs, outputs = seen
        assert follow.stream is not None  # noqa: S101  that is what was met
        return Junction(inputs, outputs, follow.stream)
    finally:
        handle.remove()
    inputs, outputs = seen
    return Junction(inputs, outputs, torch.zeros_like(outputs))
