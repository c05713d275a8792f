"""Run a model in PyTorch, through the class that its config names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prensa.checkpoint.locate import locate
from prensa.checkpoint.roles import load_config, model_class
from prensa.extras import require
from prensa.integrations.transformers import make_savable


def load(path: str | Path, **settings: Any) -> Any:
    """Load a pressed or an original model with the head it was saved with, ready to predict.

    ``settings`` go to ``from_pretrained`` (``dtype``, ``device_map`` …). Raises
    :class:`~prensa.errors.CheckpointError` where there is no model, and
    :class:`~prensa.errors.FormatError` where a packed file is damaged, and
    :class:`~prensa.errors.MissingPackageError` where a bitsandbytes model cannot be loaded here.
    """
    directory = locate(path)
    config = load_config(directory)
    quantization = getattr(config, "quantization_config", None)
    if isinstance(quantization, dict) and quantization.get("quant_method") == "bitsandbytes":
        require("bitsandbytes", f"{directory}: an 8-bit model")
    model = model_class(config).from_pretrained(directory, **settings)
    make_savable(model)
    return model
