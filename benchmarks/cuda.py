"""On a GPU: the original and a shrunk model side by side, and five minutes of distillation there.

``toxic-deberta`` loses half of its heads and feed-forward width by count (speed depends on nothing else, and
distillation mends what that costs), learns for five minutes on the GPU, and is then timed beside the original
at four sizes and on comments of mixed lengths: float32, float16 as it is, float16 folded, and compiled.
Answers on the GPU are compared with those of the processor. ``python -m benchmarks.cuda [DEVICE [SECONDS]]``
takes at most eight minutes.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, save
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.distilling.distill import distill, plan_distillation
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.torch import load_on
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.narrow import Kept, narrow
from prensa.shrink.quality import batches_of
from prensa.texts.columns import read_texts
from prensa.texts.encoding import encode
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
SIZES = ((1, 16), (1, 64), (8, 128), (1, 384))
MIXED = 512  # comments
REPEATS = 10
LEARNING = 300.0  # seconds

Batches = Sequence[Mapping[str, torch.Tensor]]


def main() -> None:
    """Shrink, learn, time, compare."""
    transformers.utils.logging.disable_progress_bar()
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else LEARNING
    original = load_on(MODEL, torch.float32, device, 0)
    small = _halved(original)
    plan = plan_distillation(MODEL, Source(TRAIN), seconds=seconds, library=Library())
    learnt = distill(small, original, plan, pairs=[(layer, layer) for layer in range(6)])
    print(learnt, flush=True)
    batches: dict[str, Batches] = {
        f"{texts} × {tokens}": [_batch(texts, tokens, device)] for texts, tokens in SIZES
    }
    batches["mixed lengths"] = _comments(device)
    models = _variants({"original": original, "shrunk": small})
    times = {size: _in_turns(models, of_size, device) for size, of_size in batches.items()}
    first = "original, float32"
    save(
        "cuda",
        {
            "model": "toxic-deberta",
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "distilled": dataclasses.asdict(learnt),
            "seconds": times,
            "times_as_fast": {
                size: {name: round(of_size[first] / each, 2) for name, each in of_size.items()}
                for size, of_size in times.items()
            },
            "largest_difference_of_probabilities": _differences(models, device),
        },
    )


def _halved(original: PreTrainedModel) -> PreTrainedModel:
    anatomy = anatomy_of(MODEL)
    units = {part.reader: torch.arange(part.units // 2) for part in anatomy.parts}
    small = copy.deepcopy(original)
    narrow(small, anatomy, Kept(tuple(range(anatomy.count)), units))
    return small


def _variants(models: Mapping[str, PreTrainedModel]) -> dict[str, Callable[..., Any]]:
    made: dict[str, Callable[..., Any]] = {}
    for name, model in models.items():
        made[f"{name}, float32"] = model.eval()
        half = copy.deepcopy(model).half()
        made[f"{name}, float16"] = half
        folded = copy.deepcopy(model)
        accelerate_answers(folded)
        made[f"{name}, float16 folded"] = folded.half()
        made[f"{name}, float16 compiled"] = torch.compile(copy.deepcopy(half), dynamic=True)
    return made


def _batch(texts: int, tokens: int, device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 30000, (texts, tokens), generator=generator).to(device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _comments(device: str) -> Batches:
    task = task_of(load_config(MODEL))
    assert task is not None
    texts = read_texts(Source(COMMENTS, limit=MIXED), task)
    encoded = encode(load_tokenizer(MODEL), texts, "classes", 128)
    batches = batches_of(encoded, range(MIXED))
    return [{name: tensor.to(device) for name, tensor in batch.items()} for batch in batches]


@torch.inference_mode()
def _in_turns(models: Mapping[str, Callable[..., Any]], batches: Batches, device: str) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(REPEATS + 2):
        for name, model in models.items():
            start = time.perf_counter()
            for batch in batches:
                model(**batch)
            if device == "cuda":
                torch.cuda.synchronize()
            if turn > 1:  # before that kernels are chosen and compiled
                times[name].append(time.perf_counter() - start)
    return {name: median(each) for name, each in times.items()}


@torch.inference_mode()
def _differences(models: Mapping[str, Callable[..., Any]], device: str) -> dict[str, float]:
    """Compare each with its own float32 model on the processor, on comments."""
    found: dict[str, float] = {}
    for name, model in models.items():
        reference = copy.deepcopy(models[f"{name.split(',')[0]}, float32"]).to("cpu")  # type: ignore[attr-defined]
        largest = 0.0
        for batch in _comments("cpu")[:4]:
            wanted = reference(**batch).logits.softmax(-1)
            given = {key: tensor.to(device) for key, tensor in batch.items()}
            difference = (model(**given).logits.float().cpu().softmax(-1) - wanted).abs().max()
            largest = max(largest, float(difference))
        found[name] = round(largest, 5)
    return found


if __name__ == "__main__":
    main()
