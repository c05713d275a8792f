"""Texts on their way through a model's layers, one layer at a time.

What a layer is given beside its hidden states (masks, positions) is taken from a run of the whole model, once
for each batch. Then any layer, of this model or of a smaller one, is run by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prensa.calibration.objective import without_past
from prensa.errors import ModelError


@dataclass(frozen=True)
class Batch:
    """Some texts before the first layer. ``given`` has what each layer gets beside its hidden states.

    ``mask`` ``[texts, tokens]`` says which tokens are real, ``states`` ``[texts, tokens, size]`` are the
    hidden states.
    """

    mask: Tensor
    given: Sequence[Given]
    states: Tensor


@dataclass(frozen=True)
class Given:
    """The arguments of a layer; where its hidden states belong there is None."""

    arguments: tuple[object, ...]
    named: Mapping[str, object]
    place: int | str


class _Enough(Exception):  # noqa: N818  nothing went wrong: it ends a run that has shown what it was made for
    """The last layer was reached."""


def batch_of(model: nn.Module, layers: Sequence[nn.Module], inputs: Mapping[str, Tensor]) -> Batch:
    """Run a model on texts, and keep what its layers were given.

    Raises :class:`ModelError` if a layer is not given what the one before it gave.
    """
    given: list[Given] = []
    first: list[Tensor] = []
    last_output: list[object] = [None]

    def before(_: nn.Module, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        place, states = _states_in(arguments, named)
        if not given:
            first.append(states)
        elif states is not last_output[0]:
            raise ModelError(
                f"{type(model).__name__}: something stands between its layers; such a model cannot be shrunk"
            )
        given.append(_without_states(arguments, named, place))
        if len(given) == len(layers):
            raise _Enough

    def behind(_: nn.Module, __: object, output: object) -> None:
        last_output[0] = states_of(output)

    handles = []
    for layer in layers:
        handles.append(layer.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(layer.register_forward_hook(behind))
    try:
        with torch.no_grad():
            model(**inputs, **without_past(model))
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    mask = inputs["attention_mask"].bool()
    return Batch(mask, given, first[0])


def run_layer(layer: nn.Module, given: Given, states: Tensor) -> Tensor:
    """Run one layer on hidden states."""
    arguments = list(given.arguments)
    named = dict(given.named)
    if isinstance(given.place, int):
        arguments[given.place] = states
    else:
        named[given.place] = states
    with torch.no_grad():
        return states_of(layer(*arguments, **named))


def states_of(output: object) -> Tensor:
    """Return the hidden states of what a layer gives: alone, or before attention weights and the like."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and isinstance(output[0], Tensor):
        return output[0]
    raise ModelError(f"a layer gives {type(output).__name__} instead of hidden states")


def _states_in(arguments: tuple[object, ...], named: Mapping[str, object]) -> tuple[int | str, Tensor]:
    """Find the hidden states among a layer's arguments: the first one, under whatever name."""
    if arguments and isinstance(arguments[0], Tensor):
        return 0, arguments[0]
    states = named.get("hidden_states")
    if isinstance(states, Tensor):
        return "hidden_states", states
    raise ModelError("a layer gets no hidden states by itself; such a model cannot be shrunk")


def _without_states(arguments: tuple[object, ...], named: Mapping[str, object], place: int | str) -> Given:
    if isinstance(place, int):
        return Given((None, *arguments[1:]), dict(named), place)
    rest = {**named, place: None}
    return Given(arguments, rest, place)
