"""How near the coding of integers comes to their entropy, and how fast it is decoded, beside ``memcpy``.

Integers are those of ``toxic-deberta`` after 8-bit quantization, pruned to several degrees first. Decoding
and copying are timed on one core, in turns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.record import SHARED, save, spread
from prensa.checkpoint.reader import open_checkpoint
from prensa.checkpoint.roles import model_shape
from prensa.codecs import CODECS
from prensa.ops import entropy
from prensa.ops.affine import quantize
from prensa.ops.sparsity import prune_smallest

AMOUNTS = (0.0, 0.3, 0.5, 0.7, 0.9)
REPEATS = 31


def main() -> None:
    """Code all linear layers at each degree of pruning."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    weights = _linear_weights()
    save("coding", {"model": "toxic-deberta", "pruned": {str(a): _measure(weights, a) for a in AMOUNTS}})


def _linear_weights() -> list[torch.Tensor]:
    model = SHARED / "models" / "toxic-deberta"
    checkpoint, shape = open_checkpoint(model), model_shape(model)
    specs = [spec for spec in map(shape.describe, checkpoint.specs) if spec.role == "linear"]
    return [checkpoint.read(spec).to(torch.float16) for spec in specs]


def _measure(weights: list[torch.Tensor], amount: float) -> dict[str, Any]:
    integers = [quantize(prune_smallest(weight, amount)).values for weight in weights]
    best, ideal, count = 0, 0.0, sum(values.numel() for values in integers)
    wins = dict.fromkeys(CODECS, 0)
    for values in integers:
        sizes = {name: sum(s.nbytes for s in codec.encode(values)) for name, codec in CODECS.items()}
        name = min(sizes, key=lambda each: sizes[each])
        wins[name] += 1
        best += sizes[name]
        ideal += _entropy_bytes(values.numpy().view(np.uint8).reshape(-1))
    data = np.concatenate([values.numpy().view(np.uint8).reshape(-1) for values in integers])
    stream = entropy.encode(data)
    decoding, copying = _in_turns(lambda: entropy.decode(stream), data.copy)
    return {
        "bits_per_weight": round(8 * best / count, 4),
        "entropy_bits_per_weight": round(8 * ideal / count, 4),
        "over_entropy": round(best / ideal - 1, 4),
        "tensors_won_by": wins,
        "decode_seconds": spread(decoding),
        "weights_per_second": round(count / median(decoding)),
        "memcpy_seconds": spread(copying),
        "times_memcpy": round(median(decoding) / median(copying), 2),
    }


def _entropy_bytes(data: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    share = np.bincount(data) / len(data)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum() * len(data) / 8)


def _in_turns(*functions: Callable[[], object]) -> list[list[float]]:
    seconds: list[list[float]] = [[] for _ in functions]
    for turn in range(REPEATS + 2):
        for timings, function in zip(seconds, functions, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 2:  # warm
                timings.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
