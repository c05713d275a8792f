"""How far a smaller model's outputs are from the original's, on texts without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prensa.calibration.objective import outputs_of, without_past
from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.isolation import building
from prensa.runtime.text_vector import TextVector
from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Encoded, pad

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Tokens of a batch, padding included.
_TOKENS = 2048


@dataclass(frozen=True)
class Yardstick:
    """Texts that were kept apart, and what the original answers to them: ``outputs`` ``[outputs, size]``."""

    encoded: Encoded
    kind: Kind | None
    pool: TextVector
    outputs: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel, encoded: Encoded, kind: Kind | None, pool: TextVector) -> Yardstick:
        """Let the original answer."""
        return cls(encoded, kind, pool, _outputs(model, encoded, kind, pool))

    def change(self, model: PreTrainedModel) -> float:
        """Return how far a model's outputs are off, as a share of the original's variance.

        Of a language model, the divergence of its predictions in nats.
        """
        after = _outputs(model, self.encoded, self.kind, self.pool)
        if self.kind in LANGUAGE:
            wanted = self.outputs.log_softmax(dim=-1)
            found = after.log_softmax(dim=-1)
            divergence = (wanted.exp() * (wanted - found)).sum(dim=-1)
            return float(divergence.mean())
        variance = self.outputs.var(dim=0, unbiased=False).sum()
        if variance <= 0:
            variance = self.outputs.square().mean(dim=0).sum()
        off = (after - self.outputs).square().mean(dim=0).sum()
        return float(off / variance.clamp_min(torch.finfo(torch.float32).tiny))


def batches_of(encoded: Encoded, numbers: Sequence[int]) -> list[dict[str, Tensor]]:
    """Return texts as inputs of a model, those of like length together."""
    lengths = [encoded.lengths[number] for number in numbers]
    batches: list[dict[str, Tensor]] = []
    for places in by_tokens(lengths, _TOKENS):
        rows = [encoded.rows[numbers[place]] for place in places]
        batch = pad(rows, encoded, "cpu")
        batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
        batches.append(batch)
    return batches


def _outputs(model: PreTrainedModel, encoded: Encoded, kind: Kind | None, pool: TextVector) -> Tensor:
    found: list[Tensor] = []
    with building(), torch.inference_mode():
        for batch in batches_of(encoded, range(len(encoded.rows))):
            output = model(**batch, **without_past(model))
            found.append(outputs_of(output, batch, kind, pool))
    return torch.cat(found)
