"""One number whose gradients say, on average, how much a model's outputs depend on anything inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prensa.checkpoint.kinds import LANGUAGE, OF_A_TEXT, Kind
from prensa.runtime.text_vector import TextVector

if TYPE_CHECKING:
    from transformers.utils import ModelOutput


def without_past(model: nn.Module) -> dict[str, bool]:
    """Return what has a model keep no keys and values, for those that would.

    They take memory, and a layer that runs twice would attend to its own.
    """
    if hasattr(getattr(model, "config", None), "use_cache"):
        return {"use_cache": False}
    return {}


def outputs_of(
    output: ModelOutput,
    batch: Mapping[str, Tensor],
    kind: Kind | None,
    pool: TextVector,
) -> Tensor:
    """Return what counts of a model's output, ``[outputs, size]``: of texts, or of tokens without padding.

    Of a task that is not known (None) all numbers count that are given for each token, else the first output.
    """
    mask = batch["attention_mask"].bool()
    if kind == "embedding":
        return pool(output.last_hidden_state.float(), batch["attention_mask"])
    if kind in OF_A_TEXT:
        logits: Tensor = output.logits
        return logits.reshape(len(mask), -1).float()
    tensors = _tensors_of(output, kind)
    count = int(mask.sum())
    of_tokens: list[Tensor] = []
    for tensor in tensors:
        if tensor.shape[:2] == mask.shape:
            # All entries of a token count as its outputs, however many dimensions they have.
            rows = tensor[mask].reshape(count, -1)
            of_tokens.append(rows)
    if of_tokens:
        return torch.cat(of_tokens, dim=1).float()
    first = tensors[0].reshape(len(mask), -1)
    return first.float()


def objective(outputs: Tensor, kind: Kind | None, generator: torch.Generator) -> Tensor:
    """Sum up outputs so that the expected squares of gradients add up to those of all outputs.

    Outputs get random signs: the expected square of a gradient is then the sum of the squares over all of
    them (Hutchinson's estimator; the Gauss–Newton matrix of the squared error). Of language models, whose
    outputs are too many and mostly idle, it is the log likelihood of a token drawn from the model's own
    prediction: the expected square is the Fisher information, which the divergence follows (Martens 2020,
    arXiv 1412.1193, section 5).
    """
    if kind in LANGUAGE:
        scores = outputs.log_softmax(dim=-1)
        # Drawn on the processor, where a seed gives the same numbers on every machine.
        likelihoods = scores.detach().exp().cpu()
        drawn = torch.multinomial(likelihoods, 1, generator=generator)
        chosen = scores.gather(1, drawn.to(scores.device))
        return chosen.sum()
    bits = torch.randint(0, 2, outputs.shape, generator=generator)
    signs = bits * 2 - 1
    return (outputs * signs.to(outputs)).sum()


def _tensors_of(output: ModelOutput, kind: Kind | None) -> list[Tensor]:
    """Return the numbers of an output, those of a known task alone: ids and caches are no outputs."""
    given = output
    if kind is not None:
        given = (output.logits,)
    # A model's own code may return a plain tuple.
    elif hasattr(output, "to_tuple"):
        given = output.to_tuple()
    tensors: list[Tensor] = []
    for item in given:
        if isinstance(item, Tensor) and item.is_floating_point():
            tensors.append(item)
    return tensors
