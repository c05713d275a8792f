"""Peak memory of ``prensa predict`` for a million comments beside that for ten thousand.

The model has one narrow layer with random weights below the tokenizer of ``toxic-deberta``: what is read,
tokenized, sorted, kept and written is the same for each comment, and a million of them take minutes.
``python -m benchmarks.scale_memory [--comments N] [--few N]``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import prensa
from benchmarks.evaluation import MODEL
from benchmarks.record import save
from benchmarks.scale import FILE, comments, in_process, write_parquet
from prensa.checkpoint.roles import load_config

WIDTH = 32


def main() -> None:
    """Measure both, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--comments", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    arguments = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        export = small_model(place)
        for part, count in {"few": arguments.few, "all": arguments.comments}.items():
            texts = write_parquet(place / f"{part}.parquet", comments(count))
            result[part] = {"comments": count, **in_process(FILE, export, texts, place)}
    more = result["all"]["peak_mb"] - result["few"]["peak_mb"]
    save(
        "scale_memory",
        {"model": "one layer, random weights, OpenVINO", **result, "peak_beyond_few_mb": round(more, 1)},
    )


def small_model(place: Path) -> Path:
    """Save a classifier with one narrow layer, and return its export."""
    torch.manual_seed(0)
    config = load_config(MODEL)
    config.update(
        {
            "num_hidden_layers": 1,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "pooler_hidden_size": WIDTH,
            "num_attention_heads": 2,
        }
    )
    model = place / "model"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(model)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(model)
    export = place / "export"
    prensa.export(model, export, to="openvino")
    return export


if __name__ == "__main__":
    # Threads of tokenizers and of the runtime would be more than there are cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
