"""A model shaped as GLiNER's in memory: how much smaller it is, and the share of spans that stay.

GLiNER's own classes around ``toxic-deberta``'s encoder, with random weights in the layers above it. Such a
model marks spans at random, as sharply as its scores are apart: the threshold is chosen so that it marks
about one for two words, and many scores lie near it. A trained model, whose scores are near 0 or 1, keeps
more. Needs gliner (``pip install --no-deps gliner``).
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED

if TYPE_CHECKING:
    from gliner import GLiNER

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
LABELS = ["person", "place", "insult"]
PRESETS = ("int8", "small")

_TEXTS = 500
_CALIBRATED = 256
_WORDS = 30
_SPANS_FOR_A_WORD = 0.5

Spans = set[tuple[int, int, int, str]]


def spans(limit: int | None) -> dict[str, Any]:
    """Compress with each preset, load into a fresh model, and compare the spans."""
    texts = texts_of(COMMENTS, limit or _TEXTS)
    original = built(seed=0)
    scores = scores_of(original, texts)
    marked = round(_SPANS_FOR_A_WORD * sum(len(text.split()) for text in texts))
    threshold = float(scores.sort(descending=True).values[min(marked, len(scores) - 1)])
    right = spans_of(original, texts, threshold)
    results: dict[str, Any] = {}
    for preset in PRESETS:
        with tempfile.TemporaryDirectory() as place:
            if preset == "small":
                calibrated = texts_of(TRAIN, limit or _CALIBRATED)
                made = prensa.compress_module(original, preset=preset, texts=calibrated, run=run)
            else:
                made = prensa.compress_module(original, preset=preset)
            prensa.save(made, Path(place) / "out")
            fresh = built(seed=1)
            prensa.load_into(fresh, Path(place) / "out")
            manifest = prensa.inspect(Path(place) / "out")
        found = spans_of(fresh, texts, threshold)
        moved = scores_of(fresh, texts) - scores
        results[preset] = {
            "share": round(manifest.nbytes / manifest.nbytes_before, 4),
            "spans_that_stay": round(len(right & found) / max(1, len(right)), 4),
            "spans_that_are_new": round(len(found - right) / max(1, len(found)), 4),
            "error_of_scores": round(float(moved.square().mean() / scores.var()), 5),
        }
    return {
        "model": "GLiNER's classes, toxic-deberta's encoder, random weights above it",
        "gliner": version("gliner"),
        "texts": len(texts),
        "labels": LABELS,
        "threshold": threshold,
        "spans": len(right),
        "results": results,
    }


def built(seed: int) -> GLiNER:
    """Build a model around the encoder; the weights above it are random, the same for a seed."""
    # Imported here: the other parts do without.
    from gliner import GLiNER, GLiNERConfig

    torch.manual_seed(seed)
    config = GLiNERConfig(
        model_name=str(MODEL),
        hidden_size=AutoConfig.from_pretrained(MODEL).hidden_size,
        max_width=6,
        # Of GLiNER's own words: punctuation counts.
        max_len=3 * _WORDS,
        dropout=0.0,
        span_mode="markerV0",
    )
    return GLiNER.from_config(config, backbone_from_pretrained=True).eval()


def texts_of(path: Path, limit: int) -> list[str]:
    """Return the first words of comments."""
    texts: list[str] = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            words = line["text"].split()[:_WORDS]
            if words:
                texts.append(" ".join(words))
            if len(texts) == limit:
                break
    return texts


def run(model: GLiNER, texts: Sequence[str]) -> torch.Tensor:
    """Return the scores of all spans of a batch."""
    prepared = model.prepare_batch(list(texts), LABELS)
    batch = model.collate_batch(prepared["input_x"], prepared["entity_types"])
    logits: torch.Tensor = model(**batch).logits
    return logits


@torch.no_grad()
def scores_of(model: GLiNER, texts: Sequence[str]) -> torch.Tensor:
    """Return the probabilities of all spans of all texts, one by one: padding has scores of its own."""
    return torch.cat([run(model, [text]).sigmoid().flatten() for text in texts])


def spans_of(model: GLiNER, texts: Sequence[str], threshold: float) -> Spans:
    """Return the spans that a model marks, by text, place and label."""
    marked: Spans = set()
    for number, entities in enumerate(model.inference(list(texts), LABELS, threshold=threshold)):
        for entity in entities:
            marked.add((number, entity["start"], entity["end"], entity["label"]))
    return marked
