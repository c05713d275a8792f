"""What will be done to each tensor: which passes, and what it may take in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape
from prensa.formats.base import Extent, dense_extent
from prensa.ops.spec import TensorSpec, dtype_name
from prensa.passes import Pass
from prensa.pressing.recipe import Recipe

_WEIGHT = ".weight"


@dataclass(frozen=True)
class TensorPlan:
    """What will be done to one tensor.

    ``tied_to`` names the tensor whose values it shares: if that proves true, it is not stored.
    ``note`` says why a pass that targets it is left out.
    """

    spec: TensorSpec
    passes: tuple[Pass, ...]
    extent: Extent
    tied_to: str = ""
    note: str = ""

    @property
    def is_quantized(self) -> bool:
        """Whether it ends as integers."""
        return makes_integers(self.passes)

    @property
    def needs_statistics(self) -> bool:
        """Whether a pass does better with calibration."""
        return any(step.needs_statistics for step in self.passes)


def makes_integers(passes: Iterable[Pass]) -> bool:
    """Whether a tensor ends as integers after these passes."""
    for step in passes:
        if step.makes_integers:
            return True
    return False


def plan_tensors(
    specs: Sequence[TensorSpec], recipe: Recipe, checkpoint: Checkpoint, model: ModelShape
) -> tuple[TensorPlan, ...]:
    """Choose the passes of every tensor, and where it is stored."""
    tensors = _plan_all(specs, recipe, checkpoint, model, ())
    # Which layers are integers is not up to the recipe alone: what the program that loads the format would
    # leave plain must be stored plain.
    plain = recipe.stored_as.leaves_plain(checkpoint.path, dense_layers(tensors, model))
    if plain:
        tensors = _plan_all(specs, recipe, checkpoint, model, plain)
    return tensors


def dense_layers(tensors: Iterable[TensorPlan], model: ModelShape) -> set[str]:
    """Name the modules with a linear weight, tied ones included, that are not quantized."""
    # By the model's own names: a checkpoint may name a tensor in another way.
    quantized = set()
    for tensor in tensors:
        if tensor.is_quantized:
            quantized.add(model.own_name(tensor.spec.name))
    layers = set()
    for name, parameter in model.parameters.items():
        # An output layer that is tied to an embedding has that one's role.
        is_linear = parameter.role in {"linear", "head"} or name in model.tied
        if is_linear and name not in quantized and name.endswith(_WEIGHT):
            layers.add(name.removesuffix(_WEIGHT))
    return layers


def _plan_all(
    specs: Sequence[TensorSpec],
    recipe: Recipe,
    checkpoint: Checkpoint,
    model: ModelShape,
    plain: Collection[str],
) -> tuple[TensorPlan, ...]:
    """Plan every tensor. ``plain`` are linear layers that must not become integers."""
    ties = _ties(checkpoint, model)
    tensors = []
    for spec in specs:
        if spec.is_unused:
            # Copied as it is: nothing is known of what it means.
            extent = dense_extent(spec, spec.dtype)
            tensors.append(TensorPlan(spec, (), extent))
            continue
        layer = (model.own_name(spec.name) or "").removesuffix(_WEIGHT)
        tensor = plan_tensor(
            spec,
            recipe,
            tied_to=ties.get(spec.name, ""),
            must_be_plain=layer in plain,
        )
        tensors.append(tensor)
    return tuple(tensors)


def plan_tensor(
    spec: TensorSpec, recipe: Recipe, tied_to: str = "", *, must_be_plain: bool = False
) -> TensorPlan:
    """Choose the passes of one tensor. Integers it must not become where it ``must_be_plain``."""
    # Positions, masks and the like: rounding them would break the model.
    if not spec.is_float:
        extent = recipe.stored_as.extent(spec, spec.dtype, quantized=False)
        note = f"{dtype_name(spec.dtype)}, stored as it is"
        return TensorPlan(spec, (), extent, tied_to, note)
    passes = []
    notes = []
    # What the tensor will be when each pass has had its turn: a later one may depend on it.
    dtype = spec.dtype
    for step in recipe.passes:
        if not step.is_targeted(spec):
            continue
        reason = _refused(step, spec, recipe, must_be_plain=must_be_plain)
        if reason:
            notes.append(f"{step.name}: {reason}")
            continue
        passes.append(step)
        dtype = step.dtype_after(dtype)
    extent = recipe.stored_as.extent(spec, dtype, quantized=makes_integers(passes))
    return TensorPlan(spec, tuple(passes), extent, tied_to, "; ".join(notes))


def _refused(step: Pass, spec: TensorSpec, recipe: Recipe, *, must_be_plain: bool) -> str:
    """Why a pass that targets a tensor is left out; empty if it is not."""
    reason = step.refuses(spec)
    if reason or not step.makes_integers:
        return reason
    reason = recipe.stored_as.refuses(spec)
    if reason:
        return reason
    return "transformers keeps this layer as it is" if must_be_plain else ""


def _ties(checkpoint: Checkpoint, model: ModelShape) -> dict[str, str]:
    """Map each tensor that the model class ties to another one of the checkpoint, to that one."""
    # The class names the tie by its own names, the plan by those in the checkpoint.
    names = {}
    for spec in checkpoint.specs:
        names[model.own_name(spec.name)] = spec.name
    ties = {}
    for target, source in model.tied.items():
        if target in names and source in names:
            ties[names[target]] = names[source]
    return ties
