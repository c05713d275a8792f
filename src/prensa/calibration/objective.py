"""One number whose gradients tell, on average, how much the outputs of a model hang on anything inside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.runtime.text_vector import TextVector

_OF_TEXTS = {"classes", "multi-label", "regression"}


def outputs_of(output: Any, batch: dict[str, Tensor], kind: Kind | None, pool: TextVector) -> Tensor:
    """Return what counts of a model's output, ``[outputs, size]``: of texts, or of pieces without padding.

    Of a task that is not known (None) all numbers count that are given for each piece, else the first output.
    """
    mask = batch["attention_mask"].bool()
    if kind == "embedding":
        return pool(output.last_hidden_state.float(), batch["attention_mask"])
    if kind in _OF_TEXTS:
        logits: Tensor = output.logits
        return logits.reshape(len(mask), -1).float()
    if kind is not None:
        given = (output.logits,)
    else:
        given = output.to_tuple() if hasattr(output, "to_tuple") else output
    found = [each for each in given if isinstance(each, Tensor) and each.is_floating_point()]
    of_pieces = [each[mask].reshape(int(mask.sum()), -1) for each in found if each.shape[:2] == mask.shape]
    if of_pieces:
        return torch.cat(of_pieces, dim=1).float()
    return found[0].reshape(len(mask), -1).float()


def objective(outputs: Tensor, kind: Kind | None, generator: torch.Generator) -> Tensor:
    """Sum up outputs so that the expected squares of gradients add up to those of all outputs.

    Outputs get random signs: the expected square of a gradient is then the sum of the squares over all of
    them (Hutchinson's estimator; the Gauss–Newton matrix of the squared error). Of language models, whose
    outputs are too many and mostly idle, it is the log likelihood of a piece drawn from the model's own
    prediction: the expected square is the Fisher information, which the divergence follows (Martens 2020,
    arXiv 1412.1193, section 5).
    """
    if kind in LANGUAGE:
        scores = outputs.log_softmax(dim=-1)
        drawn = torch.multinomial(scores.detach().exp().cpu(), 1, generator=generator).to(scores.device)
        return scores.gather(1, drawn).sum()
    signs = torch.randint(0, 2, outputs.shape, generator=generator) * 2 - 1
    return (outputs * signs.to(outputs)).sum()
