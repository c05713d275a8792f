"""Write a packed result once more with what it has learnt: the same integers, other numbers beside them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.companions import INDEX_FILE, write_index
from prensa.checkpoint.config import CONFIG_FILE, any_config
from prensa.checkpoint.manifest import MANIFEST_FILE, FileReport, Manifest, TensorReport
from prensa.checkpoint.writer import ShardWriter
from prensa.codecs.container import pack
from prensa.codecs.layout import SUFFIX
from prensa.healing.stored import unpacked
from prensa.ops.affine import Quantized, dequantize

Original = Callable[[str], Tensor]
"""Returns a tensor as it was before any pass, by its name in the files."""

_QUANTIZATION, _CHECKSUMS = "quantization_config", "sha256"


@dataclass(frozen=True)
class Changes:
    """What was learnt, by the names of tensors in the files, and how it is stored.

    ``values`` are scales of matrices on a grid, else whole tensors. ``codecs`` are those of the recipe.
    ``original`` is what errors are measured against.
    """

    values: Mapping[str, Tensor]
    codecs: Sequence[str]
    original: Original


def write_changed(pressed: Path, manifest: Manifest, changes: Changes, directory: Path) -> Manifest:
    """Write ``pressed``, with these changes, to the new directory ``directory``; return what it holds.

    Its manifest and its model card are not written: they say what came of it, which is judged later. Raises
    :class:`~prensa.errors.FormatError` for a damaged file.
    """
    files: list[FileReport] = []
    reports: dict[str, TensorReport] = {}
    written = {MANIFEST_FILE, *(file.name for file in manifest.files)}
    for path in sorted(pressed.iterdir()):
        if path.name in written:
            continue
        if path.is_dir():
            shutil.copytree(path, directory / path.name)
        else:
            shutil.copyfile(path, directory / path.name)
    weight_map: dict[str, str] = {}
    for file in manifest.files:
        of_file = [report for report in manifest.tensors if report.file == file.name]
        target = directory / file.name
        for report in _write_file(pressed / file.name, of_file, changes, target, weight_map):
            reports[report.name] = report
        files.append(FileReport(file.name, target.stat().st_size, sha256(target)))
    tensors = tuple(reports.get(report.name, report) for report in manifest.tensors)
    if (directory / INDEX_FILE).exists():
        write_index(directory, weight_map, sum(report.nbytes for report in tensors))
    _write_checksums(directory, files)
    return dataclasses.replace(manifest, files=tuple(files), tensors=tensors)


def _write_file(
    source: Path, reports: Sequence[TensorReport], changes: Changes, target: Path, weight_map: dict[str, str]
) -> list[TensorReport]:
    """Write one weight file, in the order of the other, and return the reports of what changed in it."""
    by_name = {report.name: report for report in reports}
    changed: list[TensorReport] = []
    with safe_open(source, framework="pt") as tensors:
        names = list(tensors.keys())
        expected = [(name, len(tensors.get_slice(name).get_shape())) for name in names]
        with ShardWriter(target, expected) as writer:
            for name in names:
                tensor = tensors.get_tensor(name)
                own = name.removesuffix(SUFFIX)
                # What is packed lies beside an empty tensor, which has the name and stays as it is.
                is_data = name != own or own + SUFFIX not in names
                if is_data and own in changes.values:
                    tensor, report = _changed(by_name[own], tensor, changes, is_packed=name != own)
                    changed.append(report)
                writer.add(name, tensor)
                weight_map[name] = target.name
    return changed


def _changed(
    report: TensorReport, tensor: Tensor, changes: Changes, *, is_packed: bool
) -> tuple[Tensor, TensorReport]:
    """Return a tensor of a file with its changes, and the report of it."""
    learnt = changes.values[report.name]
    stored = learnt
    zeros: int | None = learnt.numel() - int(learnt.count_nonzero())
    if is_packed:
        value = unpacked(tensor, report)
        if isinstance(value, Quantized):
            # The same codecs on the same integers give the same bytes; zeros are counted in the integers.
            value = dataclasses.replace(value, scale=learnt)
            stored, learnt = pack(value, changes.codecs).data, dequantize(value)
            zeros = report.zeros
        else:
            stored = pack(learnt, changes.codecs).data
    nbytes = report.nbytes - tensor.nbytes + stored.nbytes
    error = _error(changes.original(report.name), learnt)
    return stored, dataclasses.replace(report, nbytes=nbytes, relative_squared_error=error, zeros=zeros)


def _error(original: Tensor, learnt: Tensor) -> float:
    """Return the squared difference over the original's squared norm, as the manifest has it."""
    before = original.double()
    energy = float(before.square().sum()) or 1.0
    return float((before - learnt.double()).square().sum()) / energy


def _write_checksums(directory: Path, files: Sequence[FileReport]) -> None:
    """Put the digests of the new weight files into ``config.json``, where loading looks for them."""
    config = any_config(directory)
    quantization = config.get(_QUANTIZATION)
    assert isinstance(quantization, dict)  # noqa: S101  a packed result has one
    config[_QUANTIZATION] = {**quantization, _CHECKSUMS: {file.name: file.sha256 for file in files}}
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
