"""Load a model for whichever runtime it is wanted in.

Three functions load models, each with more around it than the one before:
:func:`prensa.runtime.torch.load` gives a PyTorch model as ``from_pretrained`` does,
:func:`prensa.runtime.torch.load_on` one that is ready to predict on a device, and what is here gives
a model in any runtime: :func:`load` to a user, :func:`load_to_compare` to what evaluates models.

An export is loaded by what is imported here. All else needs PyTorch, which takes longer to import than a
small export takes to load: it is in :mod:`prensa.serving.models`, and imported for such models alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.locate import locate
from prensa.checkpoint.setfit import check_no_pickled_head
from prensa.errors import SettingError
from prensa.serving.engines import AUTO, ENGINES, check_on_processor
from prensa.serving.exported import TORCH, Record, is_export, read_record
from prensa.serving.loads import own_texts
from prensa.serving.opening import open_export
from prensa.serving.served import Served
from prensa.texts.columns import Texts

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from prensa.serving.in_pytorch import Dtype


def load(
    path: str | Path,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    dtype: str | torch.dtype | None = None,
    texts: Iterable[object] | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    **settings: object,
) -> PreTrainedModel | Served:
    """Load one model, as :func:`prensa.load` says, which is this function and cascades."""
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        directory = locate(path)
        # First: an export has a config of its model, but none of its weights.
        if is_export(directory):
            return _load_export(directory, runtime, device, dtype)
        check_no_pickled_head(directory)
        # Imported here, as everywhere below: an export needs none of it.
        from prensa.serving.models import load_as_it_is, load_to_answer

        if runtime is None:
            if texts is not None:
                raise SettingError("`texts`: only to choose what is faster; give `runtime=auto`, too")
            return load_as_it_is(directory, device, dtype, settings)
        check_no_settings(settings)
        _check_runtime(runtime)
        own = None if texts is None else own_texts(texts)
        return load_to_answer(directory, runtime, device, dtype, own)


def check_no_settings(settings: Mapping[str, object]) -> None:
    """Raise :class:`SettingError` for settings of ``from_pretrained``, of which a runtime knows nothing."""
    if settings:
        names = ", ".join(settings)
        raise SettingError(
            f"{names}: only for a model without a runtime; leave them out, or load without `runtime`"
        )


def check_to_serve(directory: Path, runtime: str, dtype: Dtype | None = None) -> None:
    """Raise what :func:`load_to_serve` would, as far as it can be known before a weight is read."""
    if is_export(directory):
        _check_export(directory, read_record(directory), runtime, dtype)
        return
    _check_runtime(runtime)
    from prensa.checkpoint.roles import load_config
    from prensa.serving.exports import precision_in
    from prensa.serving.refusals import check_served

    check_served(directory, load_config(directory))
    if runtime in ENGINES:
        precision_in(runtime, dtype)


def load_to_serve(
    directory: Path,
    *,
    runtime: str = AUTO,
    device: str = "cpu",
    dtype: str | torch.dtype | None = None,
    texts: Texts | None = None,
) -> Served:
    """Load a model to answer, in any runtime, an export in its own. Raises what :func:`load` raises."""
    if is_export(directory):
        return _load_export(directory, runtime, device, dtype)
    _check_runtime(runtime)
    from prensa.serving.models import load_to_answer

    return load_to_answer(directory, runtime, device, dtype, texts)


def load_to_compare(
    path: Path, dtype: torch.dtype | str, device: str, pad_id: int
) -> PreTrainedModel | Served:
    """Load what is evaluated: an export in its runtime, anything else in PyTorch as it is.

    Raises :class:`SettingError` for an export that is wanted on another device than a processor.
    """
    if not is_export(path):
        from prensa.runtime.torch import load_on

        return load_on(path, dtype, device, pad_id)
    if device != "cpu":
        raise SettingError(f"{path}: an export runs on the processor; give `device=cpu`")
    return open_export(path)


def _load_export(directory: Path, runtime: str | None, device: str, dtype: Dtype | None) -> Served:
    """Open an export, which has one runtime and one precision."""
    record = read_record(directory)
    _check_export(directory, record, runtime, dtype)
    check_on_processor(record.runtime, device)
    return open_export(directory)


def _check_runtime(runtime: str) -> None:
    if runtime not in {AUTO, TORCH, *ENGINES}:
        expected = ", ".join([AUTO, TORCH, *sorted(ENGINES)])
        raise SettingError(f"`runtime={runtime}`: expected {expected}")


def _check_export(directory: Path, record: Record, runtime: str | None, dtype: Dtype | None) -> None:
    """Raise :class:`SettingError` where an export is wanted in another runtime, or in any dtype."""
    if runtime not in {None, AUTO, record.runtime}:
        raise SettingError(
            f"{directory}: exported for {record.runtime}, not for {runtime}; export it again, or for PyTorch "
            "load the model it came from"
        )
    if dtype is not None:
        raise SettingError(
            f"{directory}: an export, which runs in the precision it was made in ({record.precision}); leave "
            "`precision` or `dtype` out, or export it again"
        )
