"""The vectors of a text's tokens put together into one, with the arithmetic of Sentence Transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOKENS, SENTENCE = "token_embeddings", "sentence_embedding"

# What a sum is divided by at least, where no token counts.
_LEAST = 1e-9

Features = dict[str, Tensor]
"""What the library's modules hand on: vectors of tokens ``[texts, tokens, size]``, of texts
``[texts, size]``."""


@dataclass(frozen=True)
class Pool:
    """Vectors of the tokens put together in one way or several, one behind the other.

    ``prompt`` is how many tokens at the start do not count: those of a prompt that is left out.
    """

    modes: tuple[str, ...] = ("mean",)
    prompt: int = 0

    def __call__(self, features: Features, mask: Tensor) -> Features:
        """Add the vectors of texts."""
        hidden = features[TOKENS]
        counted = self._without_prompt(mask)
        vectors = [POOLED[mode](hidden, counted, mask) for mode in self.modes]
        return {**features, SENTENCE: torch.cat(vectors, dim=-1)}

    def _without_prompt(self, mask: Tensor) -> Tensor:
        if not self.prompt:
            return mask
        places = torch.arange(mask.shape[1], device=mask.device)
        behind = _first(mask)[:, None] + self.prompt
        return mask * (places >= behind)


def _first(mask: Tensor) -> Tensor:
    """Return the place of each text's first token: padding may stand before it."""
    return mask.int().argmax(dim=1)


# What pools has three arguments for all: the vectors ``[texts, tokens, size]``, which tokens count, and the
# attention mask, which has those of a prompt, too.


def _first_token(hidden: Tensor, counted: Tensor, _mask: Tensor) -> Tensor:
    texts = torch.arange(len(hidden), device=hidden.device)
    return hidden[texts, _first(counted)]


def _last_token(hidden: Tensor, counted: Tensor, _mask: Tensor) -> Tensor:
    texts = torch.arange(len(hidden), device=hidden.device)
    from_end = _first(counted.flip(1))
    last = counted.shape[1] - 1 - from_end
    vectors = hidden[texts, last]
    # A text without a token that counts has no last one: its vector is zero, as in the library.
    has_one = counted.any(dim=1, keepdim=True)
    return vectors * has_one


def _largest(hidden: Tensor, counted: Tensor, _mask: Tensor) -> Tensor:
    left_out = counted[..., None] == 0
    return hidden.masked_fill(left_out, float("-inf")).amax(dim=1)


def _mean(hidden: Tensor, counted: Tensor, _mask: Tensor) -> Tensor:
    return _sum(hidden, counted) / _total(counted)


def _mean_by_root(hidden: Tensor, counted: Tensor, _mask: Tensor) -> Tensor:
    return _sum(hidden, counted) / _total(counted).sqrt()


def _weighted_mean(hidden: Tensor, counted: Tensor, mask: Tensor) -> Tensor:
    """Weigh tokens 1, 2, 3 …, a prompt that does not count included."""
    length = hidden.shape[1]
    places = torch.arange(1, length + 1, device=hidden.device)
    before = _first(mask)
    weights = counted * (places - before[:, None])
    return _sum(hidden, weights) / _total(weights)


def _sum(hidden: Tensor, weights: Tensor) -> Tensor:
    weighted = hidden * weights[..., None].to(hidden.dtype)
    return weighted.sum(dim=1)


def _total(weights: Tensor) -> Tensor:
    total = weights.sum(dim=1, keepdim=True).float()
    return total.clamp(min=_LEAST)


POOLED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cls": _first_token,
    "max": _largest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}
