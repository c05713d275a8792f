"""Carry out a plan: read, passes in order, format, write; and publish what was carried out already."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor

from prensa.checkpoint import companions
from prensa.checkpoint.card import write_card
from prensa.checkpoint.directory import replacing
from prensa.checkpoint.manifest import FileReport, Manifest, TensorReport, load_manifest
from prensa.checkpoint.structure import STRUCTURE, structure_of, to_config
from prensa.checkpoint.writer import ShardWriter
from prensa.errors import DataError
from prensa.formats import Stored
from prensa.ops.parallel import submit
from prensa.ops.statistics import MatrixStatistics, Statistics
from prensa.passes import Bound, Pass
from prensa.pressing.ahead import in_order
from prensa.pressing.dense import halve_dense_layers
from prensa.pressing.plan import Plan
from prensa.pressing.press import Pressed, press
from prensa.pressing.report import (
    dtype_to_load_in,
    file_report,
    manifest_of,
    statistics_of,
    tensor_report,
)
from prensa.pressing.tensors import TensorPlan, dense_layers
from prensa.progress import Progress, silent
from prensa.runtime.release import release_memory

# Bytes of tensors that are read until freed memory goes back to the system: about a large layer.
_BETWEEN_RELEASES = 1 << 28

Done: TypeAlias = tuple[Pressed | None, Stored]
"""A tensor as it is written, and what its passes did; None if it was not read for them."""


def run(
    plan: Plan,
    progress: Progress = silent,
    statistics: Statistics | None = None,
) -> Manifest:
    """Carry out a plan. At every moment ``plan.output`` is as it was before, or whole and new.

    ``statistics`` are those of the plan's model; without them passes that need them round to nearest.
    """
    # The texts went through the whole model; of a trimmed one only some rows are left.
    if statistics is not None:
        statistics = statistics.of_rows(_rows_left(plan))
    with replacing(plan.output, force=plan.force) as directory:
        reports, files = _write_weights(plan, directory, progress, statistics)
        manifest = manifest_of(plan, statistics, reports, files)
        _write_companions(plan, directory, manifest)
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
        # Last, on the whole directory: it is loaded as a user would.
        plan.recipe.stored_as.check(directory)
    return manifest


def publish(pressed: Path, plan: Plan, extra: Mapping[str, str] | None = None) -> Manifest:
    """Make what :func:`run` wrote for ``plan.with_recipe(…)`` the plan's output, without pressing it again.

    ``pressed`` is that directory, beside the output; its files are moved, so it is used up, whatever happens.
    ``extra`` are texts of files that go there, too, by their names. ``plan.output`` then holds what
    :func:`run` would have written there; at every moment it is as it was before, or whole and new.
    """
    # Read before anything is moved: a directory that is no result is refused as it stands.
    manifest = load_manifest(pressed)
    with replacing(plan.output, force=plan.force) as directory:
        # Moved within one disk, which costs no space and no time, however large they are.
        for path in sorted(pressed.iterdir()):
            shutil.move(path, directory / path.name)
        _write_texts(directory, extra or {})
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
    return manifest


def describe(plan: Plan, directory: Path, manifest: Manifest) -> None:
    """Write what was done into a result's directory: its manifest, and its model card."""
    manifest.save(directory)
    write_card(
        directory,
        plan.before.path,
        manifest,
        plan.recipe.to_toml(),
        imports=plan.recipe.stored_as.imports,
    )


def _write_weights(
    plan: Plan, directory: Path, progress: Progress, statistics: Statistics | None
) -> tuple[tuple[TensorReport, ...], tuple[FileReport, ...]]:
    """Press every tensor into the weight files, and write their index and their copy as a state dict."""
    reports: list[TensorReport] = []
    weight_map: dict[str, str] = {}
    checksums: list[Future[FileReport]] = []
    done, released = 0, 0
    total = sum(tensor.spec.nbytes for tensor in plan.tensors)
    press_one = partial(_press, plan=plan, statistics=statistics)
    for file, target in plan.files.items():
        tensors = plan.tensors_of(file)
        with ShardWriter(directory / target, _expected(tensors)) as writer:
            for tensor, (pressed, stored) in in_order(tensors, press_one):
                for name, part in stored.tensors.items():
                    writer.add(name, part)
                    weight_map[name] = target
                if not tensor.spec.is_unused:
                    reports.append(tensor_report(tensor, pressed, stored, target))
                done += tensor.spec.nbytes
                progress(tensor.spec.name, done, total)
                if done - released > _BETWEEN_RELEASES:
                    # What the C library keeps would grow with the model.
                    release_memory()
                    released = done
        # Beside the next file: reading one again takes as long as writing it.
        checksums.append(submit(partial(file_report, directory / target)))

    files = [checksum.result() for checksum in checksums]
    if len(files) > 1:
        nbytes = sum(report.nbytes for report in reports)
        companions.write_index(directory, weight_map, nbytes)
    if plan.recipe.state_dict:
        _write_state_dict(directory, files)
    return tuple(reports), tuple(files)


def _write_state_dict(directory: Path, files: Sequence[FileReport]) -> None:
    # Read back from the files, so that it holds what they hold, whatever was done to each tensor.
    state_dict: dict[str, Tensor] = {}
    for file in files:
        state_dict.update(load_file(directory / file.name))
    torch.save(state_dict, directory / companions.STATE_DICT_FILE)


def _write_companions(plan: Plan, directory: Path, manifest: Manifest) -> None:
    """Write everything beside the weights. What is written first wins over the original's files."""
    _write_texts(directory, {companions.RECIPE_FILE: plan.recipe.to_toml()})
    if plan.vocabulary is not None:
        for name, content in plan.vocabulary.files.items():
            (directory / name).write_bytes(content)
    describe(plan, directory, manifest)

    dense = sorted(dense_layers(plan.tensors, plan.model))
    checksums = {file.name: file.sha256 for file in manifest.files}
    quantization = plan.recipe.stored_as.quantization_config(dense, checksums)
    structure = structure_of(plan.checkpoint.config)
    # Planned only for formats that can hold one, which have something to say in any case.
    if structure is not None and quantization is not None:
        quantization[STRUCTURE] = to_config(structure)
    dtype = dtype_to_load_in(manifest.tensors)
    companions.write_config(directory, plan.checkpoint.config, dtype, quantization)
    companions.copy_companions(plan.checkpoint.path, directory)
    halve_dense_layers(directory, plan.recipe.passes)


def _write_texts(directory: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")


def _expected(tensors: list[TensorPlan]) -> list[tuple[str, int]]:
    """Return the names that may be written for tensors, each with the most dimensions it can have."""
    expected = []
    for tensor in tensors:
        # No format adds more than one dimension.
        dimensions = len(tensor.spec.shape) + 1
        for name in tensor.extent.names:
            expected.append((name, dimensions))
    return expected


def _press(tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> Done:
    """Read one tensor, put it through its passes and lay it out; a tied one is not stored again.

    One that the model does not use is copied: neither its values nor its dtype are looked at.
    """
    checkpoint, recipe = plan.checkpoint, plan.recipe
    if tensor.spec.is_unused:
        copied = checkpoint.read(tensor.spec)
        return None, Stored({tensor.spec.name: copied}, "dense")
    # The class ties them, but the file may hold different values all the same.
    if tensor.tied_to and checkpoint.holds_the_same(tensor.spec, tensor.tied_to):
        return None, Stored({}, "tied")
    steps = [bind(step, tensor, plan, statistics) for step in tensor.passes]
    read = partial(checkpoint.read, tensor.spec)
    pressed = press(read, tensor.spec, steps)
    stored = recipe.stored_as.store(tensor.spec, pressed.value, recipe.codecs)
    return pressed, stored


def bind(step: Pass, tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> Pass | Bound:
    """Give a pass the statistics of the tensor, if there are any."""
    matrix = statistics_of(tensor, plan, statistics)
    if statistics is None or matrix is None:
        return step
    return bind_to(step, tensor.spec.name, matrix, statistics.weights)


def bind_to(step: Pass, name: str, matrix: MatrixStatistics, weights: int) -> Pass | Bound:
    """Give a pass what calibration knows of the tensor ``name``, one of a model with so many ``weights``."""
    try:
        return step.bind(matrix, weights)
    except ValueError as error:
        raise DataError(
            f"tensor {name}: {error}; give more texts, or let the pass {step.name} ignore it"
        ) from error


def _rows_left(plan: Plan) -> dict[str, Tensor]:
    """Return the rows that are left of trimmed tensors, by the model's names."""
    rows_left = {}
    for name, rows in plan.checkpoint.rows.items():
        own_name = plan.model.own_name(name)
        if own_name is not None:
            rows_left[own_name] = rows
    return rows_left
