"""Store a compressed module packed: weights, manifest and checksums, as in a compressed model directory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from prensa.checkpoint import companions
from prensa.checkpoint.card import CARD_FILE
from prensa.checkpoint.config import CONFIG_FILE
from prensa.checkpoint.destination import check_place, check_space
from prensa.checkpoint.directory import clean_up, replacing
from prensa.checkpoint.headers import SAFETENSORS_NAMES
from prensa.checkpoint.manifest import FileReport, Manifest, TensorReport
from prensa.checkpoint.module_file import ModuleFile
from prensa.checkpoint.writer import ShardWriter
from prensa.codecs import WRITTEN
from prensa.codecs.layout import SUFFIX
from prensa.errors import ModelError
from prensa.files.atomic import at_home
from prensa.formats import FORMATS, Stored
from prensa.formats.base import dense_extent
from prensa.isolation import as_usual
from prensa.modules.contents import WEIGHTS_FILE, Held, contents
from prensa.modules.kept import decoded, kept_of
from prensa.ops.sparsity import count_zeros
from prensa.pressing.ahead import in_order
from prensa.pressing.press import Pressed
from prensa.pressing.report import file_report, tensor_report
from prensa.pressing.tensors import TensorPlan
from prensa.version import VERSION

_PACKED = "packed"


@as_usual()
def save(module: nn.Module, directory: str | Path, *, force: bool = False) -> Manifest:
    """Store a module that :func:`prensa.compress_module` returned, or one that such modules are part of.

    The directory then holds ``model.safetensors``, with packed tensors under the names of the state dict,
    ``manifest.json`` and ``prensa_module.json``. Tensors that were not compressed are stored to the last bit.
    :func:`prensa.load_into` reads it into a module of the same class. ``force`` allows replacing what is
    stored in the directory; other files in it are kept.

    At every moment the directory is as it was before, or whole and new. Returns its manifest. Raises
    :class:`~prensa.errors.ModelError` for a module that was not compressed, or changed since, and
    :class:`~prensa.errors.OutputError` for a place that cannot be written.
    """
    output = at_home(Path(directory)).resolve()
    clean_up(output)
    check_place(output, force=force)
    held = contents(module)
    _check(module, held)
    check_space(output, sum(each.spec.nbytes for each in held))
    with replacing(output, force=force) as new:
        reports, file = _write_weights(held, new)
        manifest = _manifest(held, reports, file)
        manifest.save(new)
        tied = {}
        for each in held:
            tied.update(dict.fromkeys(each.names[1:], each.name))
        ModuleFile(type(module).__name__, {file.name: file.sha256}, tied).save(new)
        if output.is_dir():
            # Where it was a model, what describes that is not carried over: it would be taken for one.
            companions.keep_others(output, new, but=(CONFIG_FILE, companions.RECIPE_FILE, CARD_FILE))
    return manifest


def _check(module: nn.Module, held: Sequence[Held]) -> None:
    """Raise :class:`ModelError` for what cannot be stored."""
    kind = type(module).__name__
    if not any(kept_of(each) for each in held):
        raise ModelError(f"{kind}: nothing of it was compressed; store what prensa.compress_module returns")
    names = {each.name for each in held}
    for each in held:
        if each.tensor.dtype not in SAFETENSORS_NAMES:
            raise ModelError(f"{kind}: {each.name} has the dtype {each.tensor.dtype}, which no file can hold")
        if each.name + SUFFIX in names:
            raise ModelError(f"{kind}: {each.name + SUFFIX} is the name of packed bytes; rename that tensor")


def _write_weights(held: Sequence[Held], directory: Path) -> tuple[tuple[TensorReport, ...], FileReport]:
    by_name = {each.name: each for each in held}
    plans = [TensorPlan(each.spec, (), dense_extent(each.spec, each.spec.dtype)) for each in held]
    # A packed tensor has two names; neither has more dimensions than the tensor itself.
    expected = []
    for each in held:
        dimensions = max(2, len(each.spec.shape))
        expected += [(each.name, dimensions), (each.name + SUFFIX, dimensions)]
    reports = []
    with ShardWriter(directory / WEIGHTS_FILE, expected) as writer:
        for _, (stored, report) in in_order(plans, partial(_stored, by_name=by_name)):
            for name, tensor in stored.tensors.items():
                writer.add(name, tensor)
            reports.append(report)
    return tuple(reports), file_report(directory / WEIGHTS_FILE)


def _stored(plan: TensorPlan, by_name: dict[str, Held]) -> tuple[Stored, TensorReport]:
    """Return a tensor as it goes into the file: what was kept of it, or its values to the last bit.

    Raises :class:`ModelError` if it no longer has the values that were kept.
    """
    held = by_name[plan.spec.name]
    value = held.tensor.detach().cpu()
    kept = kept_of(held)
    if kept is None:
        stored = FORMATS[_PACKED].store(plan.spec, value.contiguous(), WRITTEN)
        exact = Pressed(value, count_zeros(value), 0.0, ())
        return stored, tensor_report(plan, exact, stored, WEIGHTS_FILE)
    # Bits may differ where values are equal: zero has two signs.
    if not decoded(kept.stored, held.name, plan.spec.shape, value.dtype).equal(value):
        raise ModelError(
            f"{held.name} has changed since it was compressed, so that its integers are another's; compress "
            "the module again"
        )
    return kept.stored, kept.report


def _manifest(held: Sequence[Held], reports: tuple[TensorReport, ...], file: FileReport) -> Manifest:
    floats = [each.spec for each in held if each.spec.is_float]
    return Manifest(
        format=_PACKED,
        nbytes_before=sum(each.spec.nbytes for each in held),
        nbytes_float32=sum(4 * spec.numel for spec in floats),
        files=(file,),
        tensors=reports,
        prensa_version=VERSION,
    )
