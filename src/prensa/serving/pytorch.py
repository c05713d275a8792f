"""PyTorch as an engine beside the others: what exports are compared with, and one way to serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from prensa.isolation import as_usual_in_thread
from prensa.serving.exported import Inputs
from prensa.serving.program import output_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Engine:
    """A PyTorch model, called as the engines of other runtimes are."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Take a model as it is."""
        self.model = model

    @as_usual_in_thread()
    @torch.inference_mode()
    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Return what counts of the output for inputs ``[batch, length]``."""
        tensors = {}
        for name, values in inputs.items():
            tensor = torch.from_numpy(values)
            tensors[name] = tensor.to(self.model.device)
        output = self.model(**tensors)
        arrays = []
        for name in output_names(self.model, output):
            # NumPy has no bfloat16.
            array = output[name].float().cpu().numpy()
            arrays.append(array)
        return arrays
