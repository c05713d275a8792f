"""Find the model that a user named: a directory, or a name on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from prensa.checkpoint.companions import ADAPTER_WEIGHTS, holds_module, is_adapter
from prensa.checkpoint.sentence_transformers import transformer_directory
from prensa.checkpoint.setfit import check_head_is_here
from prensa.errors import ModelError, first_line

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
_WEIGHTS = (
    ["model*.safetensors", ADAPTER_WEIGHTS[0]],
    ["pytorch_model*.bin", ADAPTER_WEIGHTS[1]],
)


def locate(model: str | Path, *, to_read: bool = False) -> Path:
    """Return the directory of ``model``; a hub name is fetched into the hub's cache, or found there.

    A PEFT adapter is merged into its base model, and the directory is that of the merged model (see
    :mod:`prensa.checkpoint.adapters`). Of a Sentence Transformers model in the old layout it is the one
    inside, with config and weights. ``HF_HUB_OFFLINE``, ``HF_HOME`` and tokens work as everywhere. What
    ``prensa.save`` has stored has no class that could be looked up, so it is only located ``to_read`` about
    it. Raises :class:`ModelError`.
    """
    path = _find(model)
    if holds_module(path) and not to_read:
        raise ModelError(
            f"{path}: holds a module that prensa.save has stored; load it with prensa.load_into into a "
            "module of its class"
        )
    check_head_is_here(path)
    inside = transformer_directory(path)
    if is_adapter(inside):
        from prensa.checkpoint.adapters import merged

        return merged(inside, locate)
    return inside


def _find(model: str | Path) -> Path:
    try:
        path = Path(model).expanduser()
    except RuntimeError as error:
        raise ModelError(f"{model}: {error}") from error
    if path.exists():
        return path
    if not _HUB_NAME.fullmatch(str(model)):
        raise ModelError(f"{model}: no such directory")
    return _from_hub(str(model))


def _from_hub(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        # Safetensors first, and the pickled copy of the same weights only if there are none.
        for weights in _WEIGHTS:
            path = Path(huggingface_hub.snapshot_download(name, allow_patterns=_COMPANIONS + weights))
            if _holds_any(path, weights):
                break
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(
            f"{name}: no such directory, and the hub did not give a model of that name ({reason})"
        ) from error
    return path


def _holds_any(path: Path, patterns: list[str]) -> bool:
    for pattern in patterns:
        for _ in path.glob(pattern):
            return True
    return False
