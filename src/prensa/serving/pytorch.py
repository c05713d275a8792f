"""PyTorch as an engine beside the others: what exports are compared with, and one way to serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.serving.exported import Inputs
from prensa.serving.program import output_names


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
        return [output[name].float().cpu().numpy() for name in output_names(self.model, output)]
