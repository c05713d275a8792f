"""What an engine gives, as the outputs of ``transformers``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
)
from transformers.utils import ModelOutput

from prensa.serving.exported import LOGITS, STARTS


def model_output(name: str, arrays: Sequence[NDArray[np.float32]]) -> ModelOutput:
    """Return arrays as tensors, by their names; ``name`` is that of the first."""
    tensors = [torch.from_numpy(array) for array in arrays]
    if name == LOGITS:
        return SequenceClassifierOutput(logits=tensors[0])
    if name == STARTS:
        return QuestionAnsweringModelOutput(start_logits=tensors[0], end_logits=tensors[1])
    return BaseModelOutput(last_hidden_state=tensors[0])
