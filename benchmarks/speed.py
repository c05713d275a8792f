"""Time and memory at DeBERTa-v3-base's true size (738 MB), and at 8 GB in four shards.

``compress`` with the preset ``classic`` and the packed format is timed in turns with ``from_pretrained`` +
``save_pretrained`` of the same model, in one process. ``compress`` waits until its files are on the disk and
``save_pretrained`` does not, so the ratio is also given with that wait added. Peak memory is that of a child
process of its own.
Weights are random: good for time and memory, never for accuracy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

import prensa
from benchmarks.record import SHARED, save, spread
from prensa.evaluation.memory import high_water_mark

REPEATS = 11
# 184 M parameters in 1 file; 0.5, 1 and 2 billion in 4, of tensors of one size.
LARGE_LAYERS = {"2 GB": 10, "4 GB": 20, "8 GB": 40}


def main() -> None:
    """Measure both, with everything in a temporary directory."""
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        base = make_base(Path(place) / "base")
        result = {"base": _against_transformers(base, Path(place)) | {"peak": _peak(base)}}
        shutil.rmtree(base)
        result["large"] = {name: _large(Path(place), layers) for name, layers in LARGE_LAYERS.items()}
    save("speed", result)


def make_base(path: Path) -> Path:
    """Write a classifier of DeBERTa-v3-base's size with random weights."""
    config = transformers.AutoConfig.from_pretrained(SHARED / "data" / "deberta-v3-tokenizer")
    torch.manual_seed(0)
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(path)
    return path


def _against_transformers(base: Path, place: Path) -> dict[str, Any]:
    ours, theirs, synced = [], [], []
    for turn in range(REPEATS + 1):
        shutil.rmtree(place / "ours", ignore_errors=True)
        shutil.rmtree(place / "theirs", ignore_errors=True)
        os.sync()
        times = [time.perf_counter()]
        prensa.compress(base, place / "ours", preset="classic")
        times.append(time.perf_counter())
        kind = transformers.AutoModelForSequenceClassification
        kind.from_pretrained(base).save_pretrained(place / "theirs")
        times.append(time.perf_counter())
        with (place / "theirs" / "model.safetensors").open("rb") as file:
            os.fsync(file.fileno())
        times.append(time.perf_counter())
        if turn:  # the first warms both
            ours.append(times[1] - times[0])
            theirs.append(times[2] - times[1])
            synced.append(times[3] - times[1])
    manifest = prensa.inspect(place / "ours")
    return {
        "nbytes_before": manifest.nbytes_before,
        "nbytes": manifest.nbytes,
        "compress_seconds": spread(ours),
        "from_and_save_pretrained_seconds": spread(theirs),
        "from_and_save_pretrained_and_fsync_seconds": spread(synced),
        "ratio_of_medians": round(median(ours) / median(theirs), 3),
        "ratio_of_minima": round(min(ours) / min(theirs), 3),
        "ratio_of_medians_both_synced": round(median(ours) / median(synced), 3),
        "ratio_of_minima_both_synced": round(min(ours) / min(synced), 3),
    }


def _large(place: Path, layers: int) -> dict[str, Any]:
    """Measure a Llama of equal tensors in four shards; weights are written by us, not by transformers."""
    path = place / "large"
    _make_large(path, layers)
    nbytes = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    measured = _peak(path)
    shutil.rmtree(path)
    return {
        "nbytes_before": nbytes,
        "shards": 4,
        **measured,
        "seconds_per_gigabyte": round(measured["seconds"] / (nbytes / 1e9), 3),
    }


def _make_large(path: Path, layers: int) -> None:
    from safetensors.torch import save_file

    config = transformers.LlamaConfig(
        hidden_size=2048,
        intermediate_size=5504,
        num_hidden_layers=layers,
        num_attention_heads=16,
        vocab_size=32000,
        tie_word_embeddings=False,
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )
    config.save_pretrained(path)
    with torch.device("meta"):
        shapes = transformers.LlamaForCausalLM(config).state_dict()
    names, generator = list(shapes), torch.Generator().manual_seed(0)
    weight_map: dict[str, str] = {}
    for shard in range(4):
        part = names[shard * len(names) // 4 : (shard + 1) * len(names) // 4]
        file = f"model-{shard + 1:05d}-of-00004.safetensors"
        tensors = {name: torch.randn(shapes[name].shape, generator=generator) * 0.02 for name in part}
        save_file(tensors, path / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": weight_map}), encoding="utf-8"
    )


def _peak(model: Path) -> dict[str, Any]:
    """Compress in a child process and return its time and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.speed", str(model), str(model.parent / "peak")]
    shutil.rmtree(model.parent / "peak", ignore_errors=True)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shutil.rmtree(model.parent / "peak")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _child(model: str, output: str) -> None:
    manifest = None
    start = time.perf_counter()
    manifest = prensa.compress(model, output, preset="classic").manifest
    assert manifest is not None
    seconds = time.perf_counter() - start
    peak = high_water_mark()
    largest = max(tensor.nbytes_before for tensor in manifest.tensors)
    print(json.dumps({"seconds": round(seconds, 2), "peak_bytes": peak, "largest_tensor_bytes": largest}))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _child(*sys.argv[1:])
    else:
        main()
