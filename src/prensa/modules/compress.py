"""Compress the linear layers and embeddings of a module in memory; everything else stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from prensa.errors import ModelError, RecipeError, SettingError, first_line
from prensa.formats import Stored
from prensa.formats.base import dense_extent
from prensa.modules.batches import Batches
from prensa.modules.contents import WEIGHTS_FILE, Held, contents, part_named, tie
from prensa.modules.kept import decoded, keep
from prensa.modules.seen import Run, Seen, see
from prensa.passes import Bound, Pass
from prensa.pressing.ahead import in_order
from prensa.pressing.compatibility import check_recipe_fits
from prensa.pressing.press import Pressed, press
from prensa.pressing.recipe import Recipe
from prensa.pressing.report import tensor_report
from prensa.pressing.run import bind_to
from prensa.pressing.tensors import TensorPlan, plan_tensor
from prensa.progress import Progress

M = TypeVar("M", bound=nn.Module)

_MATRIX = 2
"""Dimensions."""


@dataclass(frozen=True)
class Step:
    """A tensor of the module, and what will be done to it."""

    held: Held
    plan: TensorPlan


def compressed(
    module: M, recipe: Recipe, prefix: str, batches: Batches | None, run: Run | None, progress: Progress
) -> M:
    """Return a copy of a module with rounded values; the module itself is left alone.

    Raises :class:`RecipeError` for a recipe that a module cannot have, :class:`SettingError` for a part that
    it does not have and for batches that are missing or not needed, :class:`ModelError` for what cannot be
    copied, and what :func:`~prensa.modules.seen.see` raises.
    """
    _check_recipe(recipe)
    part = part_named(module, prefix)
    held = contents(module)
    steps = _planned(held, recipe, part)
    _check_runs(steps, batches, run)
    try:
        result = copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} cannot be copied ({first_line(error)}); detach the tensors that it "
            "computed before"
        ) from error
    tie(result, held)
    steps = _planned(contents(result), recipe, part)
    seen = None
    if batches is not None and run is not None:
        wanted = [step.held for step in steps if step.plan.needs_statistics]
        seen = see(result, run, batches, wanted, progress)
    _round(steps, recipe, seen, progress)
    return result


def _check_recipe(recipe: Recipe) -> None:
    """Raise :class:`RecipeError` for what needs a model directory."""
    if not recipe.stored_as.keeps_scales:
        raise RecipeError(
            f"format {recipe.format}: a module in memory is stored packed alone; use `format=packed`"
        )
    for name in ("trim_vocabulary", "shrink", "heal"):
        if getattr(recipe, name) is not None:
            raise RecipeError(
                f"{name}: needs a model directory, and works on no module in memory; leave it out"
            )


def _check_runs(steps: Sequence[Step], batches: Batches | None, run: Run | None) -> None:
    """Raise :class:`SettingError` where batches and the function that runs them are missing, or of no use."""
    needs = any(step.plan.needs_statistics for step in steps)
    if needs and run is None:
        raise SettingError(
            "the recipe is calibrated: give run, a function run(module, batch) that sends a batch through "
            "the module, and `texts`; or take `preset=int8`"
        )
    if not needs and (run is not None or batches is not None):
        raise SettingError(
            "run and `texts` were given, but no pass of the recipe needs them; use `preset=small`, or leave "
            "them out"
        )


def _planned(held: Sequence[Held], recipe: Recipe, part: str) -> list[Step]:
    """Choose the passes of every tensor.

    Raises :class:`RecipeError` if none would change, and :class:`ModelError` for two of the same name.
    """
    check_recipe_fits(recipe, [each.spec for each in held])
    steps = [Step(each, _plan(each, recipe, part)) for each in held]
    if not any(step.plan.passes for step in steps):
        raise RecipeError(
            f"the recipe changes nothing in {part or 'the module'}: expected a linear layer or an embedding "
            "that a pass targets"
        )
    return steps


def _plan(held: Held, recipe: Recipe, part: str) -> TensorPlan:
    spec = held.spec
    is_matrix = spec.role in {"linear", "embedding"} and len(spec.shape) == _MATRIX
    if is_matrix and held.is_in(part):
        return plan_tensor(spec, recipe)
    # Norms, biases and whatever other layers hold: the module keeps it to the last bit.
    note = "" if not is_matrix else f"outside of {part}, stored as it is"
    return TensorPlan(spec, (), dense_extent(spec, spec.dtype), note=note)


@torch.no_grad()
def _round(steps: Sequence[Step], recipe: Recipe, seen: Seen | None, progress: Progress) -> None:
    """Put tensors through their passes, give the module the values, and keep what they are stored as."""
    by_name = {step.plan.spec.name: step.held for step in steps}
    plans = [step.plan for step in steps if step.plan.passes]
    total = sum(plan.spec.nbytes for plan in plans)
    done = 0
    press_one = partial(_press, by_name=by_name, recipe=recipe, seen=seen)
    for plan, (result, stored) in in_order(plans, press_one):
        held = by_name[plan.spec.name]
        # What loading will make of the stored bytes, and not what the passes made: one way to each value.
        held.tensor.copy_(decoded(stored, held.name, plan.spec.shape, plan.spec.dtype))
        report = tensor_report(plan, result, stored, WEIGHTS_FILE)
        keep(held, stored, replace(report, note=_note(report.note, plan, seen)))
        done += plan.spec.nbytes
        progress(plan.spec.name, done, total)


def _press(
    plan: TensorPlan, by_name: dict[str, Held], recipe: Recipe, seen: Seen | None
) -> tuple[Pressed, Stored]:
    steps: list[Pass | Bound] = []
    matrix = None if seen is None else seen.matrices.get(plan.spec.name)
    for step in plan.passes:
        if seen is None or matrix is None:
            steps.append(step)
        else:
            steps.append(bind_to(step, plan.spec.name, matrix, seen.weights))
    tensor = by_name[plan.spec.name].tensor
    pressed = press(partial(_rows, tensor), plan.spec, steps)
    return pressed, recipe.stored_as.store(plan.spec, pressed.value, recipe.codecs)


def _rows(tensor: Tensor, rows: slice) -> Tensor:
    # Copied: the module's own memory must not be what passes work in.
    return tensor.detach()[rows].to("cpu", copy=True).contiguous()


def _note(note: str, plan: TensorPlan, seen: Seen | None) -> str:
    """Say of a tensor that should have been calibrated that no batch reached it."""
    if seen is None or not plan.needs_statistics or plan.spec.name in seen.matrices:
        return note
    unreached = "no batch reached it, rounded to nearest"
    return f"{note}; {unreached}" if note else unreached
