"""What a run did, in the words of the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from pathlib import Path

import torch

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.manifest import Calibration, FileReport, Manifest, TensorReport
from prensa.formats import Stored
from prensa.ops.spec import FLOATS, dtype_name
from prensa.ops.statistics import MatrixStatistics, Statistics
from prensa.pressing.plan import Plan
from prensa.pressing.press import Pressed
from prensa.pressing.tensors import TensorPlan
from prensa.version import VERSION


def manifest_of(
    plan: Plan,
    statistics: Statistics | None,
    tensors: tuple[TensorReport, ...],
    files: tuple[FileReport, ...],
) -> Manifest:
    """Put the reports of tensors and files together with what the plan says."""
    nbytes_float32 = 0
    for spec in plan.before.specs:
        if not spec.is_unused:
            nbytes_float32 += torch.float32.itemsize * spec.numel_before
    return Manifest(
        format=plan.recipe.format,
        nbytes_before=plan.before.nbytes,
        nbytes_float32=nbytes_float32,
        files=files,
        tensors=tensors,
        prensa_version=VERSION,
        calibration=_calibration(plan, statistics),
        vocabulary=None if plan.vocabulary is None else plan.vocabulary.report,
        shrink=plan.shrink,
        notes=plan.checkpoint.notes,
    )


def tensor_report(tensor: TensorPlan, pressed: Pressed | None, stored: Stored, file: str) -> TensorReport:
    """Report one tensor. ``pressed`` is None for one that is tied to another and not stored."""
    spec = tensor.spec
    report = TensorReport(
        name=spec.name,
        role=spec.role,
        shape=spec.shape,
        dtype=dtype_name(spec.dtype),
        stored_dtype=dtype_name(spec.dtype),
        file=file,
        codec=stored.codec,
        nbytes_before=spec.nbytes_before,
        nbytes=stored.nbytes,
        zeros=None,
        relative_squared_error=None,
    )
    if pressed is None:
        return replace(report, note=f"tied to {tensor.tied_to}")
    return replace(
        report,
        stored_dtype=dtype_name(pressed.value.dtype),
        zeros=pressed.zeros,
        relative_squared_error=pressed.relative_squared_error,
        passes=pressed.reports,
        note=_note(tensor, pressed),
    )


def _note(tensor: TensorPlan, pressed: Pressed) -> str:
    """Say why passes that target a tensor were left out, before it was read and after."""
    notes = []
    if tensor.note:
        notes.append(tensor.note)
    for report in pressed.reports:
        if report.note:
            notes.append(f"{report.name}: {report.note}")
    return "; ".join(notes)


def file_report(path: Path) -> FileReport:
    """Report the size and the checksum of a weight file."""
    return FileReport(path.name, path.stat().st_size, sha256(path))


def statistics_of(tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> MatrixStatistics | None:
    """Return what calibration knows of a tensor, None if no text reached it."""
    # Statistics are named as in the model, tensors as in the checkpoint.
    name = plan.model.own_name(tensor.spec.name)
    if statistics is None or name is None:
        return None
    return statistics.matrices.get(name)


def _calibration(plan: Plan, statistics: Statistics | None) -> Calibration | None:
    if statistics is None:
        return None
    unreached = []
    for tensor in plan.tensors:
        # Only looked for: a moment may lie in a file.
        own = plan.model.own_name(tensor.spec.name)
        if tensor.needs_statistics and own not in statistics.matrices:
            unreached.append(tensor.spec.name)
    return Calibration(
        texts=statistics.source,
        count=statistics.texts,
        tokens=statistics.tokens,
        counted=statistics.counted,
        unreached=tuple(unreached),
    )


def dtype_to_load_in(reports: Iterable[TensorReport]) -> str | None:
    """Return the dtype that ``from_pretrained`` should load in, None to leave it as it was.

    That is one which holds every tensor: if one had to stay in float32, all are widened on loading.
    """
    dtypes: set[torch.dtype] = set()
    is_changed = False
    for report in reports:
        is_changed = is_changed or report.stored_dtype != report.dtype
        # A tied tensor is not stored, and one without elements holds nothing that could be lost.
        if report.codec != "tied" and report.numel:
            dtypes.add(getattr(torch, report.stored_dtype))
    if not is_changed:
        return None
    return dtype_name(reduce(torch.promote_types, dtypes & set(FLOATS)))
