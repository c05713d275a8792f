"""Which texts are answered together: those of like length, or of equal length where padding changes answers.

Some models mix padding into what they answer (FNet, ConvBERT). They are served text by text, so what is
proved of them is what they answer without padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from prensa.serving.padding import pads_alike
from prensa.serving.ways import take
from prensa.texts.encoding import Encoded, batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prensa.serving.served import Served


def batches_for(model: PreTrainedModel | Served, encoded: Encoded, size: int) -> list[list[int]]:
    """Put texts into batches of up to ``size`` that a model answers as it answers each text alone."""
    groups = batches(encoded.lengths, size)
    if _is_paddable(model, encoded):
        return groups
    equal: list[list[int]] = []
    for group in groups:
        by_length: dict[int, list[int]] = {}
        for index in group:
            by_length.setdefault(encoded.lengths[index], []).append(index)
        equal += by_length.values()
    return equal


def _is_paddable(model: PreTrainedModel | Served, encoded: Encoded) -> bool:
    if not isinstance(model, nn.Module):
        return model.record.is_paddable
    # What a model writes has no one answer to compare; a text without tokens has none alone.
    some = [index for index, length in enumerate(encoded.lengths) if length]
    if encoded.tokenizer is not None or not some:
        return True
    return pads_alike(model, take(encoded, some))
