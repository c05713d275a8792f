"""What folding gains on this machine: on some processors it is slower than what it replaces.

It saves products and moves other numbers in their place. Which of them is dear depends on the processor, on
its memory and on the libraries that PyTorch was built with, so it is tried, with the model's own weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from prensa.runtime.deberta import Encoder, Folding
from prensa.runtime.turns import in_turns

Load = tuple[int, int]
"""Texts that are answered together, and tokens of the longest."""

LOADS: tuple[Load, ...] = ((1, 64), (2, 128))
"""What is tried where nothing is known of the texts."""

# For all loads together; a model that is slow itself takes longer.
_SECONDS = 0.3
# Layers are alike, so that a few of them tell about all.
_LAYERS = 2


def folding_gain(foldings: Sequence[Folding], loads: Sequence[Load] = LOADS) -> float:
    """Return how many times as fast folded encoders are as they were, below 1 where they are slower.

    It is the geometric mean over ``loads``, measured on the first layers of the first encoder. Its modules
    take their places in turns meanwhile, so that no other thread may use the model; in the end all of them
    are as they were before folding.
    """
    folding = foldings[0]
    logarithms = 0.0
    for load in loads:
        was, is_folded = _seconds(folding, load, _SECONDS / len(loads))
        logarithms += math.log(was / is_folded)
    return math.exp(logarithms / len(loads))


def _seconds(folding: Folding, load: Load, seconds: float) -> tuple[float, float]:
    """Return the median seconds of an encoder as it was, and folded."""
    encoder = folding.encoder
    hidden, mask = _inputs(encoder, load)
    layers = encoder.layer
    # The same modules in a shorter list: the encoder's own code goes through it.
    encoder.layer = layers[:_LAYERS]
    run = partial(_run, encoder, hidden, mask)
    works = [partial(_run_as_it_was, folding, run), partial(_run_folded, folding, run)]
    try:
        was, is_folded = in_turns(works, seconds)
    finally:
        folding.remove()
        encoder.layer = layers
    return was, is_folded


def _run_as_it_was(folding: Folding, run: Callable[[], None]) -> None:
    # Both change places on every run, which takes microseconds and so is the same for both.
    folding.remove()
    run()


def _run_folded(folding: Folding, run: Callable[[], None]) -> None:
    folding.install()
    run()


@torch.inference_mode()
def _run(encoder: nn.Module, hidden: Tensor, mask: Tensor) -> None:
    output = encoder(hidden, mask, output_hidden_states=False, return_dict=False)
    # Moved to the processor, which waits for the result of an accelerator.
    output[0].cpu()


def _inputs(encoder: Encoder, load: Load) -> tuple[Tensor, Tensor]:
    """Return hidden states ``[batch, length, width]`` and a mask ``[batch, length]`` of any numbers."""
    batch, length = load
    weight = encoder.rel_embeddings.weight
    # An own generator: the caller's stays where it is.
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(batch, length, weight.shape[1], generator=generator)
    mask = torch.ones(batch, length, dtype=torch.long)
    # Texts that are answered together are padded.
    if batch > 1:
        mask[-1, length // 2 :] = 0
    return hidden.to(weight), mask.to(weight.device)
