"""Run a model in PyTorch, through the class that its config names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prensa.checkpoint.locate import locate
from prensa.checkpoint.roles import load_config, model_class
from prensa.extras import require
from prensa.integrations.transformers import make_usable


def load(path: str | Path, **settings: Any) -> Any:
    """Load a pressed or an original model with the head it was saved with, ready to predict.

    ``settings`` go to ``from_pretrained`` (``dtype``, ``device_map`` …). Raises
    :class:`~prensa.errors.CheckpointError` where there is no model, and
    :class:`~prensa.errors.FormatError` where a packed file is damaged, and
    :class:`~prensa.errors.MissingPackageError` where a bitsandbytes model cannot be loaded here.
    """
    directory = locate(path)
    config = load_config(directory)
    if is_eight_bit(config):
        require("bitsandbytes", f"{directory}: an 8-bit model")
    model = model_class(config).from_pretrained(directory, **settings)
    if is_eight_bit(config):
        make_usable(model, settings.get("dtype"))
    return model


def is_eight_bit(config: Any) -> bool:
    """Whether a config is that of a bitsandbytes model."""
    quantization = getattr(config, "quantization_config", None)
    return isinstance(quantization, dict) and quantization.get("quant_method") == "bitsandbytes"
