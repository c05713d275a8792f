"""Run a model in PyTorch, through the class that its config names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from prensa.checkpoint.locate import locate
from prensa.checkpoint.names import check_loaded, fitted_in
from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import load_config, model_class, model_shape
from prensa.extras import require
from prensa.integrations.transformers import make_usable
from prensa.isolation import building

_log = logging.getLogger(__name__)


def load(path: str | Path, **settings: Any) -> Any:
    """Load a pressed or an original model with the head it was saved with, ready to predict.

    ``settings`` go to ``from_pretrained`` (``dtype``, ``device_map`` …). Raises
    :class:`~prensa.errors.ModelError` where there is no model or its names do not fit its class,
    :class:`~prensa.errors.FormatError` where a packed file is damaged, and
    :class:`~prensa.errors.MissingPackageError` where a bitsandbytes model cannot be loaded here.
    """
    directory = locate(path)
    config = load_config(directory)
    if is_eight_bit(config):
        require("bitsandbytes", f"{directory}: an 8-bit model")
    shape = model_shape(directory)
    # A quantized file is checked whole when it is read, its names after that.
    checkpoint = None if getattr(config, "quantization_config", None) else fitted_in(directory, shape)
    for note in checkpoint.notes if checkpoint is not None else ():
        _log.info("%s: %s", directory, note)
    with building(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a new head, where that is allowed, is the same every time
        model, found = _from_pretrained(directory, config, checkpoint, settings)
    check_loaded(directory, shape, found["missing_keys"])
    if is_eight_bit(config):
        make_usable(model, settings.get("dtype"))
    return model


def _from_pretrained(
    directory: Path, config: Any, checkpoint: Checkpoint | None, settings: dict[str, Any]
) -> tuple[Any, Any]:
    """Load from the files, or, where their names are not the model's, from the tensors that they make."""
    kind = model_class(config)
    if checkpoint is None or not checkpoint.is_wrapped:
        found: tuple[Any, Any] = kind.from_pretrained(directory, output_loading_info=True, **settings)
        return found
    state = {spec.name: checkpoint.read(spec) for spec in checkpoint.specs}
    model, missing = kind.from_pretrained(
        None, config=config, state_dict=state, output_loading_info=True, **settings
    )
    model.name_or_path = model.config.name_or_path = str(directory)
    return model, missing


def is_eight_bit(config: Any) -> bool:
    """Whether a config is that of a bitsandbytes model."""
    quantization = getattr(config, "quantization_config", None)
    return isinstance(quantization, dict) and quantization.get("quant_method") == "bitsandbytes"
