"""A model whose weights are in memory only while they are needed, part by part.

The library builds it from weights that are not there: one zero, seen as a tensor of any shape. So modules,
buffers that are computed, ties and kernels are those of the model that ``from_pretrained`` loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prensa.checkpoint.names import fitted_in
from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, load_config, model_class, model_shape
from prensa.errors import ModelError
from prensa.ops.spec import TensorSpec
from prensa.runtime.release import release_memory
from prensa.sharing import building

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE, HEAD = -1, -2
"""The parts that are in no layer: what is in front and behind, and an output layer with separate weights."""

Part = int
"""The number of a layer, or one of the two others."""


class Skeleton:
    """The model in a directory, in float32 on the processor, with no weights at first.

    ``layers`` is the name of its list of layers. ``model`` is the model, whose parameters stay the same
    objects whatever is in them. Raises :class:`ModelError` where the file holds other values for a tied
    weight than for the one that it is tied to.
    """

    def __init__(self, path: Path, layers: str, pad_id: int) -> None:
        shape = model_shape(path)
        self._checkpoint = fitted_in(path, shape)
        _check_ties(self._checkpoint, shape)
        self.model = _built(path, self._checkpoint)
        if getattr(self.model.config, "pad_token_id", None) is None:
            self.model.config.pad_token_id = pad_id
        self._layers = layers
        self._of_output = _of_output(self.model)
        tensors: dict[int, Tensor] = {}
        names: dict[int, list[str]] = {}
        for name, tensor in _tensors(self.model):
            tensors[id(tensor)] = tensor
            names.setdefault(id(tensor), []).append(name)
        named = _named(self._checkpoint, shape)
        self._parts: dict[Part, list[tuple[TensorSpec, Tensor]]] = {}
        for key, tensor in tensors.items():
            for name in names[key]:
                if name in named:
                    part = self.part_of(names[key])
                    self._parts.setdefault(part, []).append((named[name], tensor))
                    # The others hold the same.
                    break
        for part in self._parts:
            self.empty(part)

    def part_of(self, names: Sequence[str]) -> Part:
        """Return the part that a tensor with all of these names is in; what several share is in the base."""
        parts = {self._part_of_one(name) for name in names}
        return parts.pop() if len(parts) == 1 else BASE

    def fill(self, part: Part) -> None:
        """Read the weights of a part. Raises :class:`ModelError` for a file that is not whole any more."""
        for spec, tensor in self._parts.get(part, []):
            read = self._checkpoint.read(spec)
            # Numbers on disk stay as they are; here they are what the model computes with.
            tensor.data = read.to(tensor.dtype)

    def empty(self, part: Part) -> None:
        """Let the weights of a part go."""
        for _, tensor in self._parts.get(part, []):
            # Not a number: what is computed with weights that are not there must show.
            absent = float("nan") if tensor.is_floating_point() else 0
            tensor.data = torch.tensor(absent, dtype=tensor.dtype).expand(tensor.shape)

    @contextmanager
    def filled(self, part: Part) -> Iterator[None]:
        """Have the weights of a part while the context lasts."""
        try:
            self.fill(part)
            yield
        finally:
            self.empty(part)
            # Also what was computed with them: what the C library keeps would grow with the model.
            release_memory()

    def _part_of_one(self, name: str) -> Part:
        prefix = f"{self._layers}."
        if name.startswith(prefix):
            number, _, _ = name.removeprefix(prefix).partition(".")
            return int(number)
        return HEAD if name in self._of_output else BASE


def _of_output(model: PreTrainedModel) -> set[str]:
    """Return the names in the layer that makes the outputs; none if a model has no such layer."""
    output = model.get_output_embeddings()
    for name, module in model.named_modules():
        if module is output:
            return {f"{name}.weight", f"{name}.bias"}
    return set()


def _named(checkpoint: Checkpoint, shape: ModelShape) -> Mapping[str, TensorSpec]:
    """Return the tensors that the model has, by its own names."""
    named: dict[str, TensorSpec] = {}
    for spec in checkpoint.specs:
        name = shape.own_name(spec.name)
        if name is not None and not spec.is_unused:
            named[name] = spec
    return named


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _check_ties(checkpoint: Checkpoint, shape: ModelShape) -> None:
    named = _named(checkpoint, shape)
    for target, source in shape.tied.items():
        if target not in named or source not in named:
            continue
        if not checkpoint.holds_the_same(named[target], named[source].name):
            raise ModelError(
                f"{checkpoint.path}: {named[target].name} holds other values than {named[source].name}, "
                f"which {shape.class_name} ties to it, and cannot be calibrated layer by layer; use a larger "
                "machine, or a recipe without calibration (`preset=int8`)"
            )


def _built(path: Path, checkpoint: Checkpoint) -> PreTrainedModel:
    """Have the library load a model from weights that take no memory."""
    config = load_config(path)
    state: dict[str, Tensor] = {}
    for spec in checkpoint.specs:
        dtype = torch.float32 if spec.is_float else spec.dtype
        state[spec.name] = torch.zeros((), dtype=dtype).expand(spec.shape)
    with building(), torch.random.fork_rng(devices=[]):
        # Weights that a class does without are the same every time.
        torch.manual_seed(0)
        model: PreTrainedModel = model_class(config).from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32
        )
    return model.eval()
