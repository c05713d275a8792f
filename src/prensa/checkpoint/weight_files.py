"""Which files of a model directory hold its weights."""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.config import CONFIG_FILE, any_config, read_object
from prensa.checkpoint.elsewhere import no_weights_here
from prensa.errors import ModelError

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Where weights are looked for, first come first served, as ``from_pretrained`` does."""


def weight_files(path: Path) -> tuple[list[str], set[str]]:
    """Return the weight files that ``from_pretrained`` reads, in order, and the tensors that an index names.

    Raises :class:`ModelError` if there are none, or one is missing.
    """
    # A config may name its weight file itself. from_pretrained obeys that, so it must hold here, too.
    named: object = None
    if (path / CONFIG_FILE).is_file():
        named = any_config(path).get("transformers_weights")

    candidates: tuple[str, ...] = WEIGHT_FILES
    expected = ", ".join(WEIGHT_FILES)
    if named:
        candidates = (str(named),)
        expected = f"{named}, which config.json names"

    for name in candidates:
        # A name with a folder in it could lead out of the model directory.
        is_plain_name = Path(name).name == name
        if is_plain_name and (path / name).is_file():
            if name.endswith(".json"):
                return _indexed_files(path / name)
            return [name], set()
    raise ModelError(f"{path}: no weights found, expected {expected}; {no_weights_here(path)}")


def _indexed_files(index: Path) -> tuple[list[str], set[str]]:
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index}: expected a weight_map of tensor names to files, found none")
    files = sorted({str(file) for file in weight_map.values()})
    for file in files:
        if Path(file).name != file:
            raise ModelError(f"{index}: {file!r} is not a file beside the index")
        if not (index.parent / file).is_file():
            raise ModelError(f"{index}: names the shard {file}, which is missing; fetch it again")
    return files, set(weight_map)
