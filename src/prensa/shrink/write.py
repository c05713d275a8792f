"""Write a model that was made smaller in memory as a model directory.

If every layer has the same widths, ``config.json`` says all of it and the result is an ordinary model. If
not, the config lists what is narrower (see :mod:`prensa.checkpoint.structure`), and Prensa's loader is
needed. The tensors are dense and have their own names either way, so the directory can be compressed,
calibrated, judged and exported as an original can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from prensa.checkpoint import companions
from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.config import CONFIG_FILE, any_config
from prensa.checkpoint.manifest import MANIFEST_FILE
from prensa.checkpoint.names import check_names
from prensa.checkpoint.structure import STRUCTURE, Structure, to_config
from prensa.checkpoint.weight_files import WEIGHT_FILES, weight_files
from prensa.codecs.layout import FORMAT_VERSION, QUANT_METHOD
from prensa.ops.spec import dtype_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Written by what made the original, and not true of the new weights.
_OF_THE_ORIGINAL = (*WEIGHT_FILES, MANIFEST_FILE, companions.RECIPE_FILE, companions.SEARCH_FILE)


def write_model(
    model: PreTrainedModel,
    original: Path,
    directory: Path,
    structure: Structure | None,
    config_changes: Mapping[str, object],
) -> None:
    """Write a model in memory, made of ``original`` and smaller, into an empty directory.

    Weights are written in the dtype that they have, of tied ones one. ``config.json`` is the original's with
    ``config_changes``, entries at its top, and with ``structure`` if widths differ between layers. Tokenizer
    and other files are the original's. Raises :class:`~prensa.errors.ModelError` and
    :class:`~prensa.errors.FormatError` if config and structure do not describe the model.
    """
    with _ready_to_save(model):
        model.save_pretrained(directory)
    # Of both the original's are wanted: what the library made of them has its version's defaults in it.
    (directory / CONFIG_FILE).unlink()
    (directory / "generation_config.json").unlink(missing_ok=True)

    content = {**any_config(original), **config_changes}
    # It may name the file that weights are read from. They have the usual name now.
    content.pop("transformers_weights", None)
    quantization = None
    if structure is not None:
        quantization = _quantization(directory, structure)
    companions.write_config(directory, content, _dtype(model), quantization)
    _copy_companions(original, directory)
    # A config that describes another model would be found out much later, or never.
    check_names(directory)


def _quantization(directory: Path, structure: Structure) -> dict[str, object]:
    """Return the ``quantization_config`` of the weight files in a directory."""
    files, _ = weight_files(directory)
    checksums = {file: sha256(directory / file) for file in files}
    return {
        "quant_method": QUANT_METHOD,
        # As before there were structures: a reader that does not know them meets wrong shapes and fails.
        "format_version": FORMAT_VERSION,
        "sha256": checksums,
        STRUCTURE: to_config(structure),
    }


def _dtype(model: PreTrainedModel) -> str:
    """Return the dtype that holds every weight: ``from_pretrained`` loads in that of the config."""
    dtypes = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    return dtype_name(reduce(torch.promote_types, dtypes))


def _copy_companions(original: Path, directory: Path) -> None:
    written = {path.name for path in directory.iterdir()}
    companions.copy_companions(original, directory)
    for name in _OF_THE_ORIGINAL:
        if name not in written:
            (directory / name).unlink(missing_ok=True)


@contextmanager
def _ready_to_save(model: PreTrainedModel) -> Iterator[None]:
    """Hide what would have the library save other names, or nothing at all."""
    attributes = vars(model)
    hidden = {}
    # How names were changed on loading. The first versions of transformers 5 undid that with names of 2018
    # (LayerNorm.gamma), whatever the file had, and then read those in another dtype than the rest.
    if "_weight_conversions" in attributes:
        hidden["_weight_conversions"] = attributes.pop("_weight_conversions")
    # Settings for generation are loaded whatever they are, and some are then refused.
    if attributes.get("generation_config") is not None:
        hidden["generation_config"] = attributes["generation_config"]
        attributes["generation_config"] = GenerationConfig()
    try:
        yield
    finally:
        attributes.update(hidden)
