"""How far a smaller model's outputs are from the original's, on texts without labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prensa.calibration.objective import outputs_of, without_past
from prensa.checkpoint.kinds import LANGUAGE, Kind
from prensa.runtime.text_vector import TextVector
from prensa.sharing import building
from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Encoded, pad

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Tokens of a batch, padding included.
_TOKENS = 2048
# Numbers of the original's predictions that are kept, half a GiB of them.
_MOST = 2**27


@dataclass(frozen=True)
class Yardstick:
    """Texts that were kept apart, and what the original answers to them: for each batch ``[outputs, size]``.

    Of a language model's predictions every so many are compared, as many as ``_MOST`` numbers hold.
    """

    encoded: Encoded
    kind: Kind | None
    pool: TextVector
    outputs: Sequence[Tensor]
    every: int = 1

    @classmethod
    def of(cls, model: PreTrainedModel, encoded: Encoded, kind: Kind | None, pool: TextVector) -> Yardstick:
        """Let the original answer."""
        every = 1
        if kind in LANGUAGE:
            predictions = sum(encoded.lengths) * model.config.get_text_config().vocab_size
            every = math.ceil(predictions / _MOST)
        return cls(encoded, kind, pool, list(_outputs(model, encoded, kind, pool, every)), every)

    def change(self, model: PreTrainedModel) -> float:
        """Return how far a model's outputs are off, as a share of the original's variance.

        Of a language model, the divergence of its predictions in nats.
        """
        found = _outputs(model, self.encoded, self.kind, self.pool, self.every)
        if self.kind in LANGUAGE:
            # Batch by batch: all predictions at once would fill the memory several times.
            pairs = zip(self.outputs, found, strict=True)
            return float(torch.cat([_divergences(before, after) for before, after in pairs]).mean())
        before, after = torch.cat(list(self.outputs)), torch.cat(list(found))
        variance = before.var(dim=0, unbiased=False).sum()
        if variance <= 0:
            variance = before.square().mean(dim=0).sum()
        off = (after - before).square().mean(dim=0).sum()
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


def _divergences(before: Tensor, after: Tensor) -> Tensor:
    """Return the divergence of each prediction ``[predictions, vocabulary]`` from the original's, in nats."""
    wanted = before.log_softmax(dim=-1)
    return (wanted.exp() * (wanted - after.log_softmax(dim=-1))).sum(dim=-1)


def _outputs(
    model: PreTrainedModel, encoded: Encoded, kind: Kind | None, pool: TextVector, every: int
) -> Iterator[Tensor]:
    """Yield a model's outputs, batch by batch, and of those of a batch every so many."""
    for batch in batches_of(encoded, range(len(encoded.rows))):
        with building(), torch.inference_mode():
            output = model(**batch, **without_past(model))
            # A copy: a part of a larger tensor would keep all of it.
            yield outputs_of(output, batch, kind, pool)[::every].clone()
