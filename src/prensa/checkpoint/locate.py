"""Find the model that a user named: a directory, or a name on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from prensa.checkpoint.sentence_transformers import transformer_directory
from prensa.errors import CheckpointError, first_line

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMPANIONS = [
    "*.json",
    "README.md",
    "*.txt",
    "*.model",
    "*.jinja",
    "*.bpe",
    "*.codes",
    "*.spm",
    "*.tiktoken",
    "[0-9]*_*/*",
]
_WEIGHTS = (["model*.safetensors"], ["pytorch_model*.bin"])


def locate(model: str | Path) -> Path:
    """Return the directory of ``model``; a hub name is fetched into the hub's cache, or found there.

    Of a Sentence Transformers model in the old layout it is the one inside, with config and weights.

    ``HF_HUB_OFFLINE``, ``HF_HOME`` and tokens work as everywhere. Raises :class:`CheckpointError`.
    """
    try:
        path = Path(model).expanduser()
    except RuntimeError as error:
        raise CheckpointError(f"{model}: {error}") from error
    if path.exists():
        return transformer_directory(path)
    if not _HUB_NAME.fullmatch(str(model)):
        raise CheckpointError(f"{model}: no such directory")
    return transformer_directory(_from_hub(str(model)))


def _from_hub(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        for weights in _WEIGHTS:
            path = Path(huggingface_hub.snapshot_download(name, allow_patterns=_COMPANIONS + weights))
            if any(found for pattern in weights for found in path.glob(pattern)):
                break
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = first_line(error)
        raise CheckpointError(
            f"{name}: no such directory, and the hub did not give a model of that name ({reason})"
        ) from error
    return path
