"""Healing as a step of a compression: between pressing a result and putting it in place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from prensa.checkpoint.directory import hidden_beside
from prensa.checkpoint.manifest import Manifest, load_manifest
from prensa.codecs.raw import Raw
from prensa.errors import RecipeError, SettingError
from prensa.files.kept import hidden_place, kept_if_stopped
from prensa.healing.plan import HealPlan, plan_healing
from prensa.healing.run import Patient, heal
from prensa.healing.settings import Heal
from prensa.ops.statistics import Statistics
from prensa.pressing import pipeline
from prensa.pressing.recipe import Recipe
from prensa.progress import Progress, silent
from prensa.texts.columns import Texts
from prensa.texts.library import Library
from prensa.texts.source import Source

Objection = Callable[[Path, Manifest], str]
"""Says of a healed result in a directory why it is not to be kept; empty if nothing speaks against it."""


def no_objection(directory: Path, manifest: Manifest) -> str:
    """Have nothing to say against a result."""
    return ""


@dataclass(frozen=True)
class Healing:
    """What a compression needs to heal its result, beside that. ``original`` is its plan for the original."""

    plan: HealPlan
    original: pipeline.Plan

    def run(
        self,
        plan: pipeline.Plan,
        pressed: Path,
        progress: Progress = silent,
        objection: Objection = no_objection,
    ) -> tuple[Path, Manifest]:
        """Heal what ``plan`` pressed into the hidden directory ``pressed``; return what to put in place.

        That is a directory beside it, or itself where the healed one is not better. Its manifest and its
        model card say what came of it.
        """
        healed = pressed.parent / f"{pressed.name}-healed"
        patient = Patient(pressed, self._teacher(pressed.parent), plan.recipe.codecs, _reader(plan))
        with kept_if_stopped(lessons_path(self.original.output, plan.recipe.noise)) as lessons:
            lessons.mkdir(exist_ok=True)
            manifest = heal(patient, self.plan, healed, progress, lessons)
        directory = pressed
        if manifest.heal is not None and manifest.heal.kept:
            directory = healed
            # Before it is judged: it is opened as any other result.
            pipeline.describe(plan, healed, manifest)
            why = objection(healed, manifest)
            if why:
                report = dataclasses.replace(manifest.heal, kept=False, why=why)
                manifest = dataclasses.replace(load_manifest(pressed), heal=report)
                directory = pressed
        pipeline.describe(plan, directory, manifest)
        return directory, manifest

    def _teacher(self, place: Path) -> Path:
        """Return the directory of the original, with the tokens that the result has."""
        original = self.original
        if original.vocabulary is None:
            return original.checkpoint.path
        directory = place / "teacher"
        # Within a budget a second result may be healed here: it has the same teacher.
        if not directory.is_dir():
            # Without passes it is the original with fewer rows, and without codecs that is written at once.
            recipe = Recipe((), codecs=(Raw.name,), trim_vocabulary=original.recipe.trim_vocabulary)
            pipeline.run(original.with_recipe(recipe, directory))
        return directory


def plan_of(
    settings: Heal,
    pressing: pipeline.Plan,
    texts: Source | None,
    library: Library,
    device: str | None,
    progress: Progress,
    judged: Texts | None,
) -> Healing:
    """Plan to heal what ``pressing`` makes of an original, on other texts than those it is ``judged`` by.

    Raises :class:`SettingError` without texts, :class:`RecipeError` for a recipe that leaves nothing to heal,
    and whatever reading texts raises.
    """
    if texts is None or texts.name is None:
        raise SettingError(
            "`heal` learns from texts like those that the model will read: give `texts`, without labels"
        )
    if not pressing.recipe.stored_as.keeps_scales:
        raise RecipeError(
            f"`heal` needs a format that keeps scales apart from integers, found "
            f"{pressing.recipe.format}; use `format=packed`, or leave `heal` out"
        )
    if not any(tensor.is_quantized for tensor in pressing.tensors):
        raise RecipeError(
            "`heal` makes good what rounding to integers costs, and this recipe rounds nothing; use "
            "`preset=small` or `bits=8`, or leave `heal` out"
        )
    kept = None
    if pressing.vocabulary is not None:
        kept = pressing.vocabulary.report.kept
    plan = plan_healing(
        pressing.checkpoint.path,
        # A limit is of those that calibrate.
        dataclasses.replace(texts, limit=None),
        settings,
        library=library,
        kept=kept,
        device=device,
        progress=progress,
        judged=judged,
    )
    return Healing(plan, pressing)


def press(
    plan: pipeline.Plan,
    statistics: Statistics | None,
    healing: Healing | None,
    progress: Progress = silent,
) -> Manifest:
    """Carry out a plan, and heal what comes of it before it is put in place."""
    if healing is None:
        return pipeline.run(plan, progress, statistics)
    with hidden_beside(plan.output) as place:
        pressed = plan.with_recipe(plan.recipe, place / "pressed")
        pipeline.run(pressed, progress, statistics)
        directory, _ = healing.run(pressed, pressed.output, progress)
        return pipeline.publish(directory, plan)


def lessons_path(output: Path, noise: float | None) -> Path:
    """Return where a healing for ``output`` keeps how far it is: beside it, hidden, one for each noise."""
    return hidden_place(output, "healing" if noise is None else f"healing-{noise:g}")


def _reader(plan: pipeline.Plan) -> Callable[[str], Tensor]:
    """Return a function that reads a tensor as it was before any pass."""
    specs = {tensor.spec.name: tensor.spec for tensor in plan.tensors}

    def read(name: str) -> Tensor:
        return plan.checkpoint.read(specs[name])

    return read
