"""What the layers of a model gave, played back in a model that is the same up to some layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from prensa.shrink.layers import layer_modules
from prensa.shrink.quality import Yardstick

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Recording:
    """For each layer what it gave, batch after batch."""

    outputs: Sequence[Sequence[object]]

    def play(self, layers: Sequence[nn.Module], count: int) -> None:
        """Have the first ``count`` layers give what was recorded instead of computing it.

        The same batches must follow in the same order, once.
        """
        for layer, outputs in zip(layers[:count], self.outputs, strict=False):
            # An attribute of the module itself goes before its class's method.
            layer.forward = _player(outputs)


def record(model: PreTrainedModel, layers: str, yardstick: Yardstick) -> Recording:
    """Run a model on the texts of a yardstick, and keep what each of its ``layers`` gave."""
    outputs: list[list[object]] = []
    handles = []
    for layer in layer_modules(model, layers):
        of_layer: list[object] = []
        outputs.append(of_layer)
        handles.append(layer.register_forward_hook(_keeper(of_layer)))
    yardstick.change(model)
    for handle in handles:
        handle.remove()
    return Recording(outputs)


def _keeper(outputs: list[object]) -> Callable[[nn.Module, object, object], None]:
    def keep(_: nn.Module, __: object, output: object) -> None:
        outputs.append(_copied(output))

    return keep


def _player(outputs: Sequence[object]) -> Callable[..., object]:
    rest = iter(outputs)

    def play(*_: object, **__: object) -> object:
        return _copied(next(rest))

    return play


def _copied(output: object) -> object:
    """Copy all tensors: the next layer may change in place what it is given."""
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, tuple):
        return tuple(_copied(each) for each in output)
    return output
