"""Models that are narrower than their config alone says: which modules, and how ``config.json`` names them.

A config has one width for all layers and one number of heads. If those differ between layers, the key
``structure`` in the ``quantization_config`` lists what is narrower, and the model class that the config
describes is reshaped before weights are loaded. Everything in such a list comes from a file, so it is held
to what the model has: a module or a number can become smaller, and nothing else happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from prensa.checkpoint.manifest import has_manifest
from prensa.codecs.layout import QUANT_METHOD
from prensa.errors import FormatError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

STRUCTURE = "structure"
"""The key in the ``quantization_config`` of ``config.json``."""

_MATRICES, _COUNTS = "matrices", "counts"


@dataclass(frozen=True)
class Structure:
    """How a model differs from what its config alone describes.

    ``matrices`` maps the module name of a Linear or Conv1D to its ``(out_features, in_features)``.
    ``counts`` maps the dotted name of an integer attribute of a module (as in
    ``encoder.layer.0.attention.self.num_attention_heads``) to its value.
    """

    matrices: Mapping[str, tuple[int, int]]
    counts: Mapping[str, int]


def structure_of(config: Mapping[str, object] | PretrainedConfig) -> Structure | None:
    """Read the structure in the content of a ``config.json``, or in a config; None if there is none.

    Raises :class:`FormatError` if it is damaged.
    """
    return from_config(_quantization(config).get(STRUCTURE))


def to_config(structure: Structure) -> dict[str, object]:
    """Return a structure as plain values, as :func:`from_config` reads them."""
    matrices = {name: list(sizes) for name, sizes in structure.matrices.items()}
    return {_MATRICES: matrices, _COUNTS: dict(structure.counts)}


def from_config(content: object) -> Structure | None:
    """Return the structure that :func:`to_config` made ``content`` of; None for None.

    Raises :class:`FormatError` for anything else.
    """
    if content is None:
        return None
    if not isinstance(content, dict):
        raise _damaged(f"expected an object, found {_shown(content)}")
    unknown = sorted(map(str, content.keys() - {_MATRICES, _COUNTS}))
    if unknown:
        raise _damaged(f"expected {_MATRICES} and {_COUNTS}, found {unknown[0]!r}")
    matrices = {}
    for name, sizes in _entries(content, _MATRICES):
        if not isinstance(sizes, (list, tuple)) or len(sizes) != 2:  # noqa: PLR2004  rows and columns
            raise _damaged(f"{name}: expected [out_features, in_features], found {_shown(sizes)}")
        rows, columns = sizes
        matrices[name] = _positive(name, rows), _positive(name, columns)
    counts = {name: _positive(name, value) for name, value in _entries(content, _COUNTS)}
    return Structure(matrices, counts)


def is_shrunk_source(path: Path, config: Mapping[str, object] | PretrainedConfig) -> bool:
    """Whether the directory of a config with a structure may be a source, as an unquantized model is.

    A finished result, which has a manifest, is none. Whether tensors are packed only the headers of the
    weight files show (see ``Checkpoint.is_quantized``).
    """
    return _quantization(config).get(STRUCTURE) is not None and not has_manifest(path)


def reshape(model: PreTrainedModel, structure: Structure) -> None:
    """Make the named modules of a model narrower, in place, and set the named numbers.

    The matrices get new parameters that hold no values yet, with the dtype, device and ``requires_grad`` of
    the old ones; a bias follows ``out_features``. Module names may be those of the class with or without a
    head. Raises :class:`FormatError` for a module or a number that the model does not have, that is of
    another kind, or that would grow; the model is then left half done.
    """
    is_narrower = False
    for name, (rows, columns) in structure.matrices.items():
        module = _module(model, name)
        before = _sizes(name, module)
        if rows > before[0] or columns > before[1]:
            raise _damaged(f"{name}: expected at most {list(before)}, found {[rows, columns]}")
        if (rows, columns) != before:
            is_narrower = True
            _refuse_tied(model, name, module)
            _resize(module, rows, columns)
    # A reader that does not know structures must meet a wrong shape. Numbers alone would load without an
    # error there, and give other answers.
    if structure.counts and not is_narrower:
        raise _damaged("expected a module that is narrower, found numbers alone")
    for name, value in structure.counts.items():
        _set_count(model, name, value)


def check_widths(model: PreTrainedModel, structure: Structure) -> None:
    """Raise :class:`FormatError` if a loaded model has other widths than its structure.

    With a quantizer, the first versions of transformers 5 take every shape that a file has.
    """
    for name, sizes in structure.matrices.items():
        module = _module(model, name)
        shape = tuple(module.get_parameter("weight").shape)
        expected = sizes if isinstance(module, nn.Linear) else sizes[::-1]
        if shape != expected:
            raise _damaged(f"{name}: expected a weight of {list(expected)}, found {list(shape)} in the file")


def _quantization(config: Mapping[str, object] | PretrainedConfig) -> Mapping[str, object]:
    """Return the ``quantization_config`` of Prensa, empty if there is none or it is of another method."""
    if isinstance(config, Mapping):
        content = config.get("quantization_config")
    else:
        content = getattr(config, "quantization_config", None)
    # While a model is loaded it is an object of transformers' class.
    if content is not None and not isinstance(content, dict):
        content = vars(content) if hasattr(content, "__dict__") else None
    if not isinstance(content, dict) or content.get("quant_method") != QUANT_METHOD:
        return {}
    return content


def _entries(content: Mapping[str, object], key: str) -> Iterator[tuple[str, object]]:
    entries = content.get(key, {})
    if not isinstance(entries, dict):
        raise _damaged(f"expected an object as {key}, found {_shown(entries)}")
    for name, value in entries.items():
        yield str(name), value


def _positive(name: str, value: object) -> int:
    # True is an integer in Python, and 3.0 equals one: neither was written by Prensa.
    if type(value) is not int or value < 1:
        raise _damaged(f"{name}: expected a positive integer, found {_shown(value)}")
    return value


def _module(model: PreTrainedModel, name: str) -> nn.Module:
    """Find a module by its name. A base model is loaded from a file with a head, and the reverse."""
    prefix = f"{model.base_model_prefix}."
    for candidate in (name, name.removeprefix(prefix), prefix + name):
        module = _find(model, candidate)
        if module is not None:
            return module
    raise _damaged(f"{name or 'a name without a module'}: {type(model).__name__} has no such module")


def _find(model: nn.Module, name: str) -> nn.Module | None:
    # Not get_submodule(), which looks attributes up, properties among them: a file names registered modules.
    module: nn.Module | None = model
    for part in name.split("."):
        module = None if module is None else module._modules.get(part)
    return module


def _sizes(name: str, module: nn.Module) -> tuple[int, int]:
    """Return the ``(out_features, in_features)`` of a Linear or Conv1D."""
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    if _is_conv1d(module):
        columns, rows = module.get_parameter("weight").shape
        return rows, columns
    raise _damaged(f"{name}: expected a Linear or Conv1D, found {type(module).__name__}")


def _is_conv1d(module: nn.Module) -> bool:
    # What only looks a structure up need not wait for transformers.
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def _refuse_tied(model: PreTrainedModel, name: str, module: nn.Module) -> None:
    """Raise :class:`FormatError` for a matrix whose weight is another module's, too, which would not fit."""
    tied = model.all_tied_weights_keys
    shared = {*tied, *tied.values()}
    for parameter, owner in _owners(model):
        if owner is module and parameter in shared:
            raise _damaged(f"{name}: expected a separate weight, found {parameter}, which is tied")


def _owners(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        for parameter in module._parameters:
            yield f"{name}.{parameter}".removeprefix("."), module


def _resize(module: nn.Module, rows: int, columns: int) -> None:
    """Give a Linear or Conv1D new parameters of another size."""
    # The module itself stays: others may hold it, and hooks are registered on it.
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = rows, columns
        shape = (rows, columns)
    else:
        # Conv1D multiplies from the other side; ``nf`` is what its forward shapes its output by.
        module.nf, module.nx = rows, columns  # type: ignore[assignment]
        shape = (columns, rows)
    _replace(module, "weight", shape)
    if getattr(module, "bias", None) is not None:
        _replace(module, "bias", (rows,))


def _replace(module: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    old = module.get_parameter(name)
    new = torch.empty(shape, dtype=old.dtype, device=old.device)
    module.register_parameter(name, nn.Parameter(new, requires_grad=old.requires_grad))


def _set_count(model: PreTrainedModel, name: str, value: int) -> None:
    """Set an integer attribute of a module that has one, to nothing larger."""
    path, _, attribute = name.rpartition(".")
    module = _module(model, path)
    # Only what the module itself holds: never a property, a method or an attribute of its class.
    before = vars(module).get(attribute)
    if type(before) is not int:
        raise _damaged(f"{name}: {type(module).__name__} has no such integer")
    if value > before:
        raise _damaged(f"{name}: expected at most {before}, found {value}")
    setattr(module, attribute, value)


def _shown(value: object) -> str:
    """Show a value that was found in its place, in a few characters of one line."""
    return repr(value)[:40]


def _damaged(reason: str) -> FormatError:
    return FormatError(f"config.json: damaged {STRUCTURE}, {reason}; fetch the model again")
