"""Collect statistics of a model that does not fit in memory: one layer at a time is there.

Forwards each layer runs all batches, and what it gives is put aside. What is behind the last layer runs next,
from there gradients go back layer by layer, each run once more from what the one before it gave, and what is
in front of the layers comes last. A matrix meets the same batches in the same order with the same numbers as
where the whole model is in memory, so that its statistics are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from prensa.calibration.blocks import Call, gradients_of
from prensa.calibration.joining import Outputs, by_parameter, join_seen
from prensa.calibration.joints import BEHIND, BETWEEN, FRONT, INSIDE, Joints, Run
from prensa.calibration.objective import objective
from prensa.calibration.plan import CalibrationPlan
from prensa.calibration.running import (
    check_table,
    explained,
    finite_outputs,
    other_inputs,
    outputs_seen,
    padded,
    want_own_gradients,
)
from prensa.calibration.skeleton import BASE, HEAD, Part, Skeleton
from prensa.calibration.spill import Spill, SpilledStatistics
from prensa.calibration.spread import Spread
from prensa.calibration.watch import Watch, take_own_gradients, watch_layers
from prensa.errors import ModelError, PrensaError
from prensa.ops.statistics import Statistics
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.sharing import building


def collect_streamed(plan: CalibrationPlan, place: Path, progress: Progress = silent) -> Statistics:
    """Carry out a plan that streams. The statistics read moments from the directory ``place`` when asked.

    Raises what :func:`prensa.calibration.collect.collect` raises, :class:`ModelError` for a model that does
    not run its layers one after the other, and :class:`OSError` for a disk that is full.
    """
    assert plan.streaming is not None  # noqa: S101  who calls this has looked
    skeleton = Skeleton(plan.path, plan.streaming.layers, plan.padding)
    check_table(skeleton.model, plan)
    for parameter in skeleton.model.parameters():
        parameter.requires_grad_(requires_grad=False)
    watch = Watch("cpu")
    handles = watch_layers(skeleton.model, watch)
    try:
        work = _Work(plan, skeleton, watch, place, progress)
        with skeleton.filled(BASE), building():
            work.go_forwards()
            work.go_behind()
            work.go_back()
            work.go_in_front()
        return work.statistics()
    except (PrensaError, OSError):
        raise
    except Exception as error:
        raise explained(error, skeleton.model, plan) from error
    finally:
        for handle in handles:
            handle.remove()


class _Work:
    """A collection under way: four steps, in the order of its methods."""

    def __init__(
        self, plan: CalibrationPlan, skeleton: Skeleton, watch: Watch, place: Path, progress: Progress
    ) -> None:
        assert plan.streaming is not None  # noqa: S101  as above
        self._plan = plan
        self._skeleton = skeleton
        self._watch = watch
        self._batches = [padded(plan, indices, "cpu") for indices in plan.batches]
        self._progress = progress
        self._done = 0
        held = plan.streaming.held // 2
        self._outputs = Spill(_made(place / "outputs"), held)
        # Of what layers gave, by batch, layer and place; and of what they were given by nothing before them.
        self._gradients = Spill(_made(place / "gradients"), held // 2)
        self._to_front = Spill(_made(place / "front"), held // 2)
        self._matrices = SpilledStatistics(_made(place / "moments"))
        self._weights = 0
        layers = skeleton.model.get_submodule(plan.streaming.layers)
        self._layers = list(layers.children())
        self._joints = Joints(type(skeleton.model).__name__, self._layers, watch, self._outputs)
        # The last layer that is given something that comes from the front.
        self._farthest = 0
        # Matrices that no linear layer multiplies, by part.
        self._own: dict[Part, list[nn.Parameter]] = {}
        self._seen = Outputs(0, 1.0)

    def go_forwards(self) -> None:
        """Run each layer on all batches, and learn which matrices are multiplied."""
        with torch.no_grad():
            for number in range(len(self._layers)):
                with self._skeleton.filled(number):
                    for batch in self._each_batch():
                        run = Run(batch, number, self._joints.keep, counts=INSIDE)
                        self._joints.run(run, partial(self._model, batch))
                        self._check_between(run)
            with self._skeleton.filled(HEAD):
                self._watch.mask = self._mask(0)
                self._joints.run(Run(0, None, None, counts=BEHIND), partial(self._model, 0))
        # Without gradients, hooks only say which matrices are there.
        self._watch.sums.clear()
        own = {id(weight) for weight in want_own_gradients(self._skeleton.model.parameters(), self._watch)}
        for names, weight in by_parameter(self._skeleton.model):
            if id(weight) in own:
                self._own.setdefault(self._skeleton.part_of(names), []).append(weight)

    def go_behind(self) -> None:
        """Run what is behind the layers, forwards and backwards, and measure the outputs."""
        # Which signs are drawn must not depend on what was drawn before: same input, same bytes.
        generator = torch.Generator().manual_seed(0)
        pool = read_text_vector(self._plan.path, self._plan.kind)
        spread = Spread()
        with torch.enable_grad(), self._skeleton.filled(HEAD):
            for number in self._each_batch():
                run = Run(number, None, None, counts=BEHIND, with_leaves=True)
                output = self._joints.run(run, partial(self._model, number))
                outputs = finite_outputs(output, self._batches[number], self._plan, pool)
                objective(outputs, self._plan.kind, generator).backward()  # type: ignore[no-untyped-call]
                self._check_front(run)
                for (layer, place), leaf in run.leaves.items():
                    if leaf.grad is not None:
                        self._gradients.put((number, layer, place), [leaf.grad])
                self._take_own_behind()
                spread.add(outputs)
            self._seen = outputs_seen(spread, self._plan)
            self._join(HEAD)

    def go_back(self) -> None:
        """Take gradients through the layers, from the last to the first."""
        for number in reversed(range(len(self._layers))):
            with torch.enable_grad(), self._skeleton.filled(number):
                for batch in self._each_batch():
                    run = Run(batch, number, self._way_back, counts=INSIDE, with_leaves=True)
                    self._joints.run(run, partial(self._model, batch))
                    take_own_gradients(self._watch, self._own.get(number, []))
                self._join(number)
            if number >= self._farthest:
                # No run comes past it any more.
                for batch in range(len(self._batches)):
                    self._outputs.drop((number, batch))

    def go_in_front(self) -> None:
        """Take gradients through what is in front of the layers: embeddings, mostly."""
        with torch.enable_grad():
            for batch in self._each_batch():
                keys = self._to_front.keys_of(batch)
                run = Run(batch, self._farthest, None, counts=FRONT)
                self._joints.run(run, partial(self._model, batch))
                roots: list[Tensor] = []
                gradients: list[Tensor] = []
                for key in keys:
                    _, layer, place = key
                    root = run.first[layer, place]
                    # What was made of layers' results alone has given them its gradients already.
                    if root.requires_grad:
                        roots.append(root)
                        gradients += self._to_front.take(key)
                torch.autograd.backward(roots, gradients)
                take_own_gradients(self._watch, self._own.get(BASE, []))
        self._join(BASE)

    def statistics(self) -> Statistics:
        """Return what was collected."""
        return Statistics(
            self._matrices,
            self._weights,
            source=self._plan.source,
            texts=len(self._plan.encoded.rows),
            counted=self._plan.counted,
            tokens=sum(self._plan.encoded.lengths),
        )

    def _each_batch(self) -> Iterator[int]:
        """Count the batches up; for each, what hooks and the progress have to know."""
        texts = len(self._plan.encoded.rows)
        # Each layer runs twice; what is behind them, and what is in front, once by itself.
        total = (2 * len(self._layers) + 2) * sum(self._plan.encoded.lengths)
        for number, indices in enumerate(self._plan.batches):
            self._watch.mask = self._mask(number)
            yield number
            self._done += self._plan.tokens_of(indices)
            self._progress(f"reading {texts:,} texts, layer by layer", self._done, total)

    def _mask(self, number: int) -> Tensor:
        return self._batches[number]["attention_mask"].bool()

    def _model(self, number: int) -> object:
        batch = self._batches[number]
        model = self._skeleton.model
        return model(**batch, **other_inputs(model, batch, self._plan.kind))

    def _way_back(self, run: Run, call: Call) -> None:
        """Run the layer at which a run stops once more, and hand gradients on to what it was given."""
        gradients: list[Tensor | None] = []
        for place in range(self._joints.results_of(run.passed)):
            key = (run.batch, run.passed, place)
            gradients += self._gradients.take(key) or [None]
        if all(gradient is None for gradient in gradients):
            return
        found = gradients_of(call.run, call.given, gradients)
        leaves = {id(leaf): key for key, leaf in run.leaves.items()}
        for tensor, gradient in zip(call.given, found, strict=True):
            if gradient is None:
                continue
            if id(tensor) in leaves:
                self._gradients.add((run.batch, *leaves[id(tensor)]), gradient)
                continue
            first = run.keys[id(tensor)]
            self._to_front.add((run.batch, *first), gradient)
            self._farthest = max(self._farthest, first[0])
            self._hand_on_to_layers(run, tensor, gradient)

    def _hand_on_to_layers(self, run: Run, tensor: Tensor, gradient: Tensor) -> None:
        """Hand a gradient on to those layers of whose results a tensor was made on the way to another one."""
        if not run.leaves or tensor.grad_fn is None:
            return
        found = torch.autograd.grad(
            tensor, list(run.leaves.values()), gradient, retain_graph=True, allow_unused=True
        )
        for key, part in zip(run.leaves, found, strict=True):
            if part is not None:
                self._gradients.add((run.batch, *key), part)

    def _take_own_behind(self) -> None:
        for part in (BASE, HEAD):
            take_own_gradients(self._watch, self._own.get(part, []))

    def _check_between(self, run: Run) -> None:
        """Raise :class:`ModelError` for matrices between layers: these would be met once for each layer."""
        if run.aside.get(BETWEEN):
            raise self._refused("has matrices between its layers")

    def _check_front(self, run: Run) -> None:
        """Raise :class:`ModelError` if gradients went past the layers to what is in front of them."""
        for sums in run.aside[FRONT].values():
            if sums.gradients is not None or sums.looked_up is not None:
                raise self._refused("reads behind its layers what is in front of them")

    def _refused(self, what: str) -> ModelError:
        return self._joints.refused(what)

    def _join(self, part: Part) -> None:
        """Join what was seen of the matrices of a part, which must be there, and put it aside."""
        for names, weight in by_parameter(self._skeleton.model):
            if self._skeleton.part_of(names) != part:
                continue
            statistics = join_seen(names, weight, self._skeleton.model, self._watch, self._plan, self._seen)
            if statistics is not None:
                self._matrices.add(names, statistics)
                self._weights += weight.numel()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
