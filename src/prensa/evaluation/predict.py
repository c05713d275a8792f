"""Run models side by side over batches of texts, and keep of each output what its task compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import log_softmax

from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.evaluation.reading import CommonPieces, Reading, common_pieces
from prensa.isolation import building
from prensa.runtime.text_vector import TextVector
from prensa.texts.encoding import Encoded, batches, pad
from prensa.texts.ids import IGNORED

Output = NDArray[np.float32] | NDArray[np.float64]
"""What is kept of one text: logits ``[labels]``, logits of its words ``[words, labels]``, a vector
``[size]``, or, for a language model, sums over the predicted pieces in the order of ``SUMS``."""

SUMS = ("nats", "pieces", "bytes", "divergence", "largest divergence", "same", "largest shift")
"""Of a language model on one text: negative log likelihood, how many pieces were predicted and the bytes of
text they stand for, Kullback–Leibler divergence from the original, summed and largest, how often the
likeliest piece is the original's, and the largest change of the probability of the piece that came."""

_MASKED_SHARE = 0.15  # of the pieces, as in BERT's training (Devlin et al., arXiv 1810.04805, section 3.1)


def predict(
    models: Sequence[Any], pools: Sequence[TextVector], readings: Sequence[Reading], batch_size: int
) -> Iterator[tuple[list[int], list[list[Output]]]]:
    """Yield, batch by batch, the indices of its texts and for each model what it makes of them.

    ``readings`` say how each model reads the texts. The first model is the original, which language models
    are compared with on the spot: their outputs are too large to keep.
    """
    kind = readings[0].encoded.kind
    common = common_pieces(readings) if kind in LANGUAGE else None
    for indices in batches(readings[0].encoded.lengths, batch_size):
        inputs = [
            pad([each.encoded.rows[i] for i in indices], each.encoded, models[0].device) for each in readings
        ]
        if kind in LANGUAGE:
            yield indices, _language(models, inputs, readings, common, indices)
        else:
            yield (
                indices,
                [
                    _split(forward(model, batch, kind, pool), reading.encoded, indices)
                    for model, batch, pool, reading in zip(models, inputs, pools, readings, strict=True)
                ],
            )


@torch.inference_mode()
def forward(model: Any, batch: dict[str, Tensor], kind: Kind, pool: TextVector) -> Tensor:
    """Return a model's logits, or the vectors of texts, in float32."""
    with building():  # some models compute with the default dtype, which loading changes
        output = model(**batch)
    if kind == "embedding":
        return pool(output.last_hidden_state.float(), batch.get("attention_mask"))
    logits: Tensor = output.logits
    return logits.float()


def _split(output: Tensor, encoded: Encoded, indices: Sequence[int]) -> list[Output]:
    rows = output.cpu().numpy()
    if encoded.kind != "tokens":
        return list(rows)
    places = [np.array([at for at in encoded.places[i] if at != IGNORED], dtype=int) for i in indices]
    return [row[at] for row, at in zip(rows, places, strict=True)]


def _language(
    models: Sequence[Any],
    inputs: Sequence[dict[str, Tensor]],
    readings: Sequence[Reading],
    common: CommonPieces | None,
    indices: Sequence[int],
) -> list[list[Output]]:
    encoded = readings[0].encoded
    is_masked = encoded.kind == "masked"
    ids = inputs[0]["input_ids"].clone()
    chosen = [_masked(encoded, i) if is_masked else _continued(encoded, i) for i in indices]
    if is_masked:
        for batch, reading in zip(inputs, readings, strict=True):
            for row, at in enumerate(chosen):
                batch["input_ids"][row, at] = torch.tensor(reading.encoded.mask_id, device=ids.device)
    logits = [
        forward(model, batch, encoded.kind, TextVector()) for model, batch in zip(models, inputs, strict=True)
    ]
    sums: list[list[Output]] = [[] for _ in models]
    for row, (index, at) in enumerate(zip(indices, chosen, strict=True)):
        before = at if is_masked else [position - 1 for position in at]
        chosen_logits = [each[row, before].to(_exact(each)) for each in logits]
        truth = ids[row, at]
        if common is not None:
            chosen_logits = [each[:, own] for each, own in zip(chosen_logits, common.columns, strict=True)]
            truth = torch.searchsorted(common.numbers, truth.cpu()).to(truth.device)
        scores = [log_softmax(each, dim=-1) for each in chosen_logits]
        nbytes = sum(encoded.nbytes[index][position] for position in at)
        for kept, score in zip(sums, scores, strict=True):
            kept.append(_sums(scores[0], score, truth, nbytes))
    return sums


def _sums(original: Tensor, scores: Tensor, truth: Tensor, nbytes: int) -> Output:
    """Sum up log probabilities ``[pieces, vocabulary]`` beside the original's, in the order of ``SUMS``."""
    if not len(truth):
        return np.zeros(len(SUMS))
    at = torch.arange(len(truth), device=truth.device)
    divergence = (original.exp() * (original - scores)).nan_to_num(posinf=0.0).sum(dim=-1)
    came, came_before = scores[at, truth], original[at, truth]
    sums = [
        -came.sum(),
        torch.tensor(len(truth)),
        torch.tensor(nbytes),
        divergence.sum(),
        divergence.max(),
        (scores.argmax(dim=-1) == original.argmax(dim=-1)).sum(),
        (came.exp() - came_before.exp()).abs().max(),
    ]
    return np.array([float(each) for each in sums])


def _exact(logits: Tensor) -> torch.dtype:
    """Return float64 where the device has it: divergences are small differences."""
    return torch.float32 if logits.device.type == "mps" else torch.float64


def _characters(encoded: Encoded, index: int) -> list[list[int]]:
    """List the positions of each piece of text, with those that finish its last character."""
    groups: list[list[int]] = []
    for position, count in enumerate(encoded.nbytes[index]):
        if count == 0 and groups:
            groups[-1].append(position)
        elif count != IGNORED:
            groups.append([position])
    return groups


def _continued(encoded: Encoded, index: int) -> list[int]:
    """Return the positions of the pieces that a causal model predicts: those that follow another."""
    return [position for group in _characters(encoded, index) if group[0] for position in group]


def _masked(encoded: Encoded, index: int) -> list[int]:
    """Choose the pieces of a text to mask, the same ones every time; at least one where there is one.

    The pieces of one character are masked together: each would tell the others.
    """
    groups = _characters(encoded, index)
    count = min(len(groups), max(1, round(_MASKED_SHARE * len(groups))))
    chosen = np.random.default_rng(index).permutation(len(groups))[:count]
    return sorted(position for group in chosen for position in groups[group])
