"""Run a model in PyTorch, through the class that its config names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.checkpoint.locate import locate
from prensa.checkpoint.roles import load_config, model_class
from prensa.extras import require
from prensa.integrations.transformers import make_usable
from prensa.isolation import building
from prensa.runtime.exported import Inputs
from prensa.runtime.program import output_name


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
    with building():
        model = model_class(config).from_pretrained(directory, **settings)
    if is_eight_bit(config):
        make_usable(model, settings.get("dtype"))
    return model


class Engine:
    """A PyTorch model, called as the engines of other runtimes are."""

    def __init__(self, model: Any) -> None:
        """Take a model as it is."""
        self.model = model

    @torch.inference_mode()
    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Return what counts of the output for inputs ``[batch, length]``."""
        given = {name: torch.from_numpy(value).to(self.model.device) for name, value in inputs.items()}
        output = self.model(**given)
        return [output[output_name(self.model, output)].float().cpu().numpy()]


def is_eight_bit(config: Any) -> bool:
    """Whether a config is that of a bitsandbytes model."""
    quantization = getattr(config, "quantization_config", None)
    return isinstance(quantization, dict) and quantization.get("quant_method") == "bitsandbytes"
