"""Heal a packed result: load it beside its original, let it learn, and write it with what it has learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.calibration.blocks import blocks_of
from prensa.checkpoint.manifest import HealReport, Manifest, load_manifest
from prensa.distilling.distill import Distilled, distill
from prensa.healing.parts import Part, learning_parts
from prensa.healing.plan import HealPlan
from prensa.healing.stored import read_stored
from prensa.healing.write import Changes, Original, write_changed
from prensa.progress import Progress, silent
from prensa.runtime.torch import load_on

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NOTHING_BETTER = "no state was better on texts kept apart"


@dataclass(frozen=True)
class Patient:
    """A packed result that is to be healed.

    ``pressed`` is its directory, and ``teacher`` that of the model that it was made of, with the same tokens.
    ``codecs`` are its recipe's, and ``original`` returns its tensors as they were before any pass.
    """

    pressed: Path
    teacher: Path
    codecs: Sequence[str]
    original: Original


def heal(
    patient: Patient, plan: HealPlan, directory: Path, progress: Progress = silent, place: Path | None = None
) -> Manifest:
    """Let a result learn, and write what comes of it to the new directory ``directory``.

    Returns its manifest, which is not written yet. Where no state was better than the first one, nothing is
    written, and the manifest is that of ``patient.pressed`` with a report that says so. With ``place`` a
    stopped run is gone on from, as :func:`~prensa.distilling.distill.distill` does. Raises what that raises.
    """
    manifest = load_manifest(patient.pressed)
    learnt, parts = _learnt(patient, plan, manifest, progress, place)
    report = _report(plan, manifest, learnt, parts)
    if not report.kept:
        return dataclasses.replace(manifest, heal=report)
    changes = Changes({part.name: part.value() for part in parts}, patient.codecs, patient.original)
    directory.mkdir()
    written = write_changed(patient.pressed, manifest, changes, directory)
    return dataclasses.replace(written, heal=report)


def _learnt(
    patient: Patient, plan: HealPlan, manifest: Manifest, progress: Progress, place: Path | None
) -> tuple[Distilled, list[Part]]:
    pad = plan.lessons.encoded.fill["input_ids"]
    teacher = load_on(patient.teacher, torch.float32, plan.device, pad)
    student = load_on(patient.pressed, torch.float32, plan.device, pad)
    reports = {report.name: report for report in manifest.tensors}
    parts = learning_parts(student, read_stored(patient.pressed, manifest), reports)

    def step(what: str, done: int, total: int) -> None:
        progress(what.replace("distilling", "healing"), done, total)

    only = [part.learns for part in parts]
    pairs = _pairs(student, manifest)
    return distill(student, teacher, plan.lessons, step, pairs, place, only), parts


def _pairs(student: PreTrainedModel, manifest: Manifest) -> list[tuple[int, int]]:
    """Return which layer of the original each layer is to follow: that which it was."""
    layers = range(len(blocks_of(student)))
    if manifest.shrink is not None:
        return list(zip(layers, manifest.shrink.layers, strict=True))
    return [(layer, layer) for layer in layers]


def _report(plan: HealPlan, manifest: Manifest, learnt: Distilled, parts: Sequence[Part]) -> HealReport:
    is_better = learnt.best_step > 0
    return HealReport(
        source=plan.lessons.source,
        texts=learnt.texts,
        numbers=sum(part.learns.numel() for part in parts),
        steps=learnt.steps,
        seconds=learnt.seconds,
        loss_before=learnt.loss_before,
        loss_after=learnt.loss_after,
        best_step=learnt.best_step,
        nbytes_before=manifest.nbytes,
        stopped=learnt.stopped,
        broken=learnt.broken,
        kept=is_better,
        why="" if is_better else _NOTHING_BETTER,
    )
