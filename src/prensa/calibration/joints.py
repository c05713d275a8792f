"""A model that is run with its layers standing in: each gives what it gave before, without being computed.

So a model's own code puts every layer's inputs together, whatever they are, and only one layer has to be
there: the one at which a run stops. What is outside of the layers runs again each time, which is little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from prensa.calibration.blocks import Call
from prensa.calibration.spill import Spill
from prensa.calibration.watch import Sums, Watch
from prensa.errors import ModelError

FRONT, BETWEEN, INSIDE, BEHIND = "front", "between", "inside", "behind"
"""Where a run is: before the first layer, between two, in the one at which it stops, or after the last."""

Act = Callable[["Run", Call], None]
"""What is done at the layer at which a run stops."""


T = TypeVar("T")


class _Reached(Exception):  # noqa: N818  nothing went wrong: the run is where it was sent
    """A run has come to its layer."""


@dataclass
class Run:
    """One run of one batch. ``stop`` is the layer at which it ends, None for the end of the model.

    ``leaves`` are what the layers before gave, by layer and place, where gradients end. ``first`` are the
    tensors that layers were given, by the layer and the place at which each was given first; ``keys`` finds
    that by a tensor's identity. ``aside`` are the sums of what was met elsewhere than where they count.
    """

    batch: int
    stop: int | None
    act: Act | None
    counts: str
    with_leaves: bool = False
    passed: int = 0
    leaves: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    first: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    keys: dict[int, tuple[int, int]] = field(default_factory=dict)
    aside: dict[str, dict[int, Sums]] = field(default_factory=dict)

    def note(self, call: Call) -> None:
        """Remember which tensors the next layer was given."""
        for place, tensor in enumerate(call.given):
            if id(tensor) not in self.keys:
                self.keys[id(tensor)] = self.passed, place
                # Held, so that no other tensor gets its identity.
                self.first[self.passed, place] = tensor


class Joints:
    """The layers of a model, and what each gave for each batch: ``outputs``, by layer and batch."""

    def __init__(self, name: str, layers: Sequence[nn.Module], watch: Watch, outputs: Spill) -> None:
        self._name = name
        self._layers = layers
        self._watch = watch
        self._outputs = outputs
        self._forms: dict[int, pytree.TreeSpec] = {}
        # What the watch sums up where a run counts.
        self._sums = watch.sums

    def run(self, run: Run, model: Callable[[], T]) -> T | None:
        """Run a model up to where ``run`` stops; return its output, None if it stopped before.

        What is met where ``run`` counts goes into the sums of the watch, and anything else aside. Raises
        :class:`ModelError` for a model that does not run its layers one after the other.
        """
        self._enter(run, FRONT)
        try:
            with self._standing_in(run):
                output = model()
        except _Reached:
            return None
        finally:
            self._watch.sums = self._sums
        if run.passed != len(self._layers):
            raise self.refused(f"runs {run.passed} of its {len(self._layers)} layers")
        return output

    def keep(self, run: Run, call: Call) -> None:
        """Run the layer at which a run stops, and keep what it gives."""
        results = call.run(*call.given)
        self._outputs.put((run.passed, run.batch), results)
        self._forms[run.passed] = call.result_form

    def results_of(self, number: int) -> int:
        """Return how many things a layer gives that has run."""
        return self._forms[number].num_leaves

    def refused(self, what: str) -> ModelError:
        """Return the error for a model that does something else between and around its layers."""
        return ModelError(
            f"{self._name} {what}, so that it cannot be calibrated layer by layer; use a larger machine, or "
            "a recipe without calibration (`preset=int8`)"
        )

    @contextmanager
    def _standing_in(self, run: Run) -> Iterator[None]:
        for number, layer in enumerate(self._layers):
            layer.forward = partial(self._forward, run, number, layer.forward)
        try:
            yield
        finally:
            for layer in self._layers:
                # What was set above lies on the object, and hides the method of its class.
                del layer.forward

    def _forward(
        self,
        run: Run,
        number: int,
        forward: Callable[..., object],
        *arguments: object,
        **named: object,
    ) -> object:
        # A layer that is called twice would give what it gave the first time.
        if number != run.passed:
            raise self.refused("runs its layers in another order than it lists them")
        call = Call(forward, arguments, named)
        run.note(call)
        if number == run.stop:
            self._enter(run, INSIDE)
            if run.act is not None:
                run.act(run, call)
            raise _Reached
        results = self._outputs.get((number, run.batch))
        if call.needs_gradients and run.with_leaves:
            _begin_gradients(run, results)
        run.passed += 1
        self._enter(run, BEHIND if run.passed == len(self._layers) else BETWEEN)
        return pytree.tree_unflatten(results, self._forms[number])

    def _enter(self, run: Run, place: str) -> None:
        self._watch.sums = self._sums if place == run.counts else run.aside.setdefault(place, {})


def _begin_gradients(run: Run, results: Sequence[object]) -> None:
    """Have gradients end at what a layer gives, where the whole model's would go on into the layer."""
    for place, result in enumerate(results):
        if isinstance(result, Tensor) and result.is_floating_point():
            run.leaves[run.passed, place] = result.requires_grad_()
