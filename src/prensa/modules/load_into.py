"""Load what ``prensa.save`` has stored into a module of the same class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from prensa.checkpoint.checksum import check_sha256
from prensa.checkpoint.companions import MODULE_FILE
from prensa.checkpoint.headers import dtype_in_record, explained
from prensa.checkpoint.manifest import Manifest, TensorReport, load_manifest
from prensa.checkpoint.missing import count_of, first_of
from prensa.checkpoint.module_file import ModuleFile, load_module_file
from prensa.codecs.layout import SUFFIX
from prensa.errors import FormatError, ModelError
from prensa.files.atomic import at_home
from prensa.formats import Stored
from prensa.isolation import as_usual
from prensa.modules.contents import WEIGHTS_FILE, Held, contents
from prensa.modules.kept import decoded, forget, keep, renamed

M = TypeVar("M", bound=nn.Module)


@as_usual()
def load_into(module: M, directory: str | Path) -> M:
    """Give a module the values that :func:`prensa.save` has stored in ``directory``, and return it.

    Names and shapes must be those of the stored module; nothing is left as it was. The module keeps its
    dtypes and its devices, and can be saved again.

    Raises :class:`~prensa.errors.ModelError` for a directory without a module or with one of other names or
    shapes, and :class:`~prensa.errors.FormatError` for damaged files. The module is then as it was.
    """
    path = at_home(Path(directory))
    record = load_module_file(path)
    manifest = load_manifest(path)
    _check_file(path, record)
    held = contents(module)
    _check_fits(path, module, held, manifest, record)
    reports = {report.name: report for report in manifest.tensors}
    sources = {each.name: _source(each, record) for each in held}
    stored = _read(path / WEIGHTS_FILE, reports)
    with ThreadPoolExecutor() as pool:
        # Decoding lets go of the interpreter's lock. All of it comes first: a module is never left half done.
        values = list(pool.map(lambda each: _value(each, stored[sources[each.name]], path), held))
    _check_ties(path, held, record, stored)
    with torch.no_grad():
        for each, value in zip(held, values, strict=True):
            each.tensor.copy_(value)
            report = reports[sources[each.name]]
            # What no pass has touched is an ordinary tensor, which may be trained and saved as it then is.
            if report.passes:
                keep(each, renamed(stored[report.name], report.name, each.name), report)
            else:
                forget(each)
    return module


def _check_file(path: Path, record: ModuleFile) -> None:
    """Raise :class:`FormatError` if the weights are not those that were stored."""
    file = path / WEIGHTS_FILE
    if not file.is_file():
        raise ModelError(f"{path}: {WEIGHTS_FILE} is missing; store the module again, or fetch it again")
    check_sha256(file, record.sha256.get(WEIGHTS_FILE, ""))


def _check_fits(
    path: Path, module: nn.Module, held: Sequence[Held], manifest: Manifest, record: ModuleFile
) -> None:
    """Raise :class:`ModelError` if names, shapes or kinds of numbers are not those of the stored module."""
    kind = type(module).__name__
    stored = [report.name for report in manifest.tensors] + list(record.tied)
    own: list[str] = []
    for each in held:
        own += each.names
    missing = sorted(set(own) - set(stored))
    unknown = sorted(set(stored) - set(own))
    advice = f"load it into a {record.class_name} with the settings that it was stored with"
    if missing or unknown:
        reasons = []
        if missing:
            reasons.append(f"lacks {count_of(missing)} of this {kind} ({first_of(missing)})")
        if unknown:
            reasons.append(f"has {count_of(unknown)} that this {kind} has not ({first_of(unknown)})")
        raise ModelError(f"{path}: holds a {record.class_name}, which {' and '.join(reasons)}; {advice}")
    reports = {report.name: report for report in manifest.tensors}
    nowhere = sorted(set(record.tied.values()) - reports.keys())
    if nowhere:
        raise FormatError(f"{path}: {MODULE_FILE} ties to {nowhere[0]}, which is not stored; fetch it again")
    for each in held:
        report = reports[_source(each, record)]
        if each.spec.shape != report.shape:
            raise ModelError(
                f"{path}: {each.name} has the shape {list(report.shape)}, and that of this {kind} "
                f"{list(each.spec.shape)}; {advice}"
            )
        stored_dtype = dtype_in_record(report.dtype, report.name)
        if stored_dtype.is_floating_point != each.tensor.is_floating_point():
            raise ModelError(
                f"{path}: {each.name} holds {report.dtype}, and that of this {kind} {each.tensor.dtype}; "
                f"{advice}"
            )


def _source(held: Held, record: ModuleFile) -> str:
    """Return the name that a tensor's values are stored under."""
    return record.tied.get(held.name, held.name)


def _check_ties(path: Path, held: Sequence[Held], record: ModuleFile, stored: Mapping[str, Stored]) -> None:
    """Raise :class:`ModelError` if the module has one tensor where several with other values were stored."""
    for each in held:
        sources = sorted({record.tied.get(name, name) for name in each.names})
        # Mostly it is one, of which nothing need be decoded again.
        if len(sources) == 1:
            continue
        values = [decoded(stored[name], name, each.spec.shape, each.tensor.dtype) for name in sources]
        for name, value in zip(sources, values, strict=True):
            if not value.equal(values[0]):
                raise ModelError(
                    f"{path}: {sources[0]} and {name} are tied in this {each.spec.file}, and have different "
                    "values in the file; load it into a module that does not tie them"
                )


def _read(file: Path, reports: Mapping[str, TensorReport]) -> dict[str, Stored]:
    """Read every tensor as it is stored, by its name."""
    stored = {}
    with explained(file), safe_open(file, framework="pt") as tensors:
        names = set(tensors.keys())
        for name, report in reports.items():
            parts = [part for part in (name, name + SUFFIX) if part in names]
            if name not in names:
                raise FormatError(f"{file}: {name} is missing, which manifest.json lists; fetch both again")
            stored[name] = Stored({part: tensors.get_tensor(part) for part in parts}, report.codec)
    return stored


def _value(held: Held, stored: Stored, path: Path) -> Tensor:
    name = next(iter(stored.tensors))
    value = decoded(stored, name, held.spec.shape, held.tensor.dtype)
    if tuple(value.shape) != held.spec.shape:
        raise FormatError(f"{path / WEIGHTS_FILE}: {name} has another shape than manifest.json lists")
    # Numbers of floating point are rounded to the module's; a count that does not fit would be another.
    own = stored.tensors[name]
    if not held.tensor.is_floating_point() and not value.to(own.dtype).equal(own):
        raise ModelError(
            f"{path}: {held.name} holds numbers of {own.dtype} that {held.tensor.dtype} of this "
            f"{held.spec.file} does not have; give the module the dtype that was stored"
        )
    return value
