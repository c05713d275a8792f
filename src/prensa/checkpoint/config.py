"""``config.json`` and other JSON of a model directory, as its maker wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prensa.checkpoint.elsewhere import no_model_here
from prensa.errors import ModelError
from prensa.files.records import read_json

CONFIG_FILE = "config.json"


def read_config(path: Path) -> dict[str, object]:
    """Read ``config.json`` of a model to compress. Raises :class:`ModelError` if it is quantized already.

    A model that was only made narrower (see :mod:`prensa.checkpoint.structure`) is not.
    """
    # Imported here: it needs PyTorch, which whoever reads the JSON of an export does without.
    from prensa.checkpoint.structure import is_shrunk_source

    config = any_config(path)
    if config.get("quantization_config") and not is_shrunk_source(path, config):
        raise quantized_already(path, config)
    return config


def quantized_already(path: Path, config: Mapping[str, object]) -> ModelError:
    """Return the error of a quantized model that was given in place of its original."""
    quantization = config.get("quantization_config")
    method: object = "an unnamed method"
    if isinstance(quantization, dict):
        method = quantization.get("quant_method", method)
    return ModelError(f"{path}: the model is quantized already ({method}); compress the original instead")


def any_config(path: Path) -> dict[str, object]:
    """Read ``config.json`` of any model, quantized or not. Raises :class:`ModelError`."""
    if not path.is_dir():
        raise ModelError(f"{path}: expected a model directory, found a file; give its directory")
    file = path / CONFIG_FILE
    if not file.exists():
        raise ModelError(f"{path}: no config.json; {no_model_here(path)}")
    return read_object(file)


def read_object(path: Path) -> dict[str, object]:
    """Read a file that holds one JSON object. Raises :class:`ModelError`."""
    content = read_model_json(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def read_model_json(path: Path) -> object:
    """Read a file of JSON in a model directory. Raises :class:`ModelError`."""
    try:
        return read_json(path)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
