"""What a model with an encoder and a decoder writes, decoded greedily: the likeliest token each time.

Of a model's ``generation_config.json`` the tokens that it names, forces or forbids are kept. Beams, samples,
penalties and lengths are left out, so that two models that foresee the same tokens write the same text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prensa.sharing import building

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

MOST_TOKENS = 128
"""Tokens of a text that is written for a comparison at most."""

TIMED_TOKENS = 32
"""Tokens that are written while time and memory are measured: as many by each model."""

_KEPT = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
)

Characters = NDArray[np.float64]
"""A text as the numbers of its characters ``[characters]``, as outputs are numbers; one NaN if the model gave
none."""


@torch.inference_mode()
def write(
    model: PreTrainedModel, batch: Mapping[str, Tensor], tokenizer: PreTrainedTokenizerBase
) -> list[Characters]:
    """Return what a model writes for each text of a batch, in characters that :func:`text_of` reads."""
    watch = _Watch(len(batch["input_ids"]))
    ids = _generated(model, batch, _greedy(model, MOST_TOKENS, fewest=0), watch)
    texts: list[Characters] = []
    for row, is_broken in zip(ids.tolist(), watch.broken.tolist(), strict=True):
        if is_broken:
            texts.append(np.array([np.nan]))
            continue
        text = tokenizer.decode(row, skip_special_tokens=True).strip()
        texts.append(np.array([ord(character) for character in text], dtype=np.float64))
    return texts


def text_of(characters: NDArray[np.floating]) -> str:
    """Return the text that was written."""
    return "".join(chr(int(number)) for number in characters)


@torch.inference_mode()
def write_some(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> None:
    """Write the same number of tokens whatever the text, which is what takes a model its time."""
    config = _greedy(model, TIMED_TOKENS, fewest=TIMED_TOKENS)
    _generated(model, batch, config, _Watch(len(batch["input_ids"])))


def _generated(
    model: PreTrainedModel, batch: Mapping[str, Tensor], config: GenerationConfig, watch: _Watch
) -> Tensor:
    """Return the tokens that a model writes ``[texts, longest]`` by ``config`` alone."""
    from transformers import LogitsProcessorList

    with building():
        own = model.generation_config
        # What is not set in a config is taken from the model's, however it is passed.
        model.generation_config = config
        try:
            ids: Tensor = model.generate(
                **batch, generation_config=config, logits_processor=LogitsProcessorList([watch])
            )
        finally:
            model.generation_config = own
    return ids


def _greedy(model: PreTrainedModel, most: int, *, fewest: int) -> GenerationConfig:
    from transformers import GenerationConfig

    # Some have no position for more, and none of them says so before it fails.
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None:
        most = min(most, positions - 2)
        fewest = min(fewest, most)
    kept = {name: getattr(model.generation_config, name, None) for name in _KEPT}
    return GenerationConfig(max_new_tokens=most, min_new_tokens=fewest or None, **kept)


class _Watch:
    """Sees the numbers that tokens are chosen by, and remembers the texts where one is NaN.

    Minus infinity is what a token that is forbidden has.
    """

    def __init__(self, texts: int) -> None:
        self.broken = torch.zeros(texts, dtype=torch.bool)

    def __call__(self, _ids: Tensor, scores: Tensor) -> Tensor:
        is_broken = scores.isnan().any(dim=-1) | scores.isposinf().any(dim=-1)
        self.broken |= is_broken.cpu()
        return scores
