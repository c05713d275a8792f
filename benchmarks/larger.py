"""A made decoder, written layer by layer, and what compressing it takes with one layer in memory at a time.

The model has Llama's layout and random weights in bfloat16; the usual sizes make 8 GB of it. A process of its
own compresses it with the preset ``small``, on texts of random letters. With ``--whole`` another process does
it with the whole model in memory, and the weight files must be the same.
``python -m benchmarks.larger [--layers N] [--hidden N] [--inner N] [--vocabulary N] [--texts N] [--tokens N]
[--memory SIZE] [--whole] [--place DIRECTORY]``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

import prensa
from benchmarks.record import save
from prensa.evaluation.memory import high_water_mark

CHILD = "child"
STREAMED = "streamed"
HEADS = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
READING = "reading"


@dataclass(frozen=True)
class Sizes:
    """How large a model is."""

    layers: int
    hidden: int
    inner: int
    vocabulary: int


def main() -> None:
    """Make the model, compress it, and write what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=3072)
    parser.add_argument("--inner", type=int, default=8704)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--memory", default="6GiB")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--place", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.place) as name:
        place = Path(name)
        sizes = Sizes(arguments.layers, arguments.hidden, arguments.inner, arguments.vocabulary)
        nbytes = make_model(place / "model", sizes)
        write_texts(place / "texts.txt", arguments.texts, arguments.tokens)
        streamed = in_process(place, STREAMED, arguments.memory)
        result = {
            "model": {**dataclasses.asdict(sizes), "mb": round(nbytes / 1e6, 1)},
            "texts": {"count": arguments.texts, "tokens": arguments.tokens},
            "bound_mb": bound_mb(sizes),
            "streamed": streamed,
        }
        if arguments.whole:
            whole = in_process(place, "whole", "1000GB")
            assert whole["sha256"] == streamed["sha256"], "the weight files differ"
            result["whole"] = whole
    save("larger", result)


def bound_mb(sizes: Sizes) -> float:
    """Return 2 GiB, twice the largest part in float32 and one layer's second moments, in megabytes."""
    hidden, inner = sizes.hidden, sizes.inner
    layer = 4 * hidden * hidden + 3 * hidden * inner
    largest = max(layer, 2 * sizes.vocabulary * hidden)
    # Triangles: of the six matrices that read the hidden size, and of the one that reads the inner one.
    moments = (6 * hidden * hidden + inner * inner) / 2
    return round(((1 << 31) + 4 * (2 * largest + moments)) / 1e6, 1)


def make_model(place: Path, sizes: Sizes) -> int:
    """Write a model of random weights, a file for each layer; return the bytes of its weights."""
    place.mkdir()
    config = transformers.LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.inner,
        num_hidden_layers=sizes.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        tie_word_embeddings=False,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    )
    config.save_pretrained(place)
    write_tokenizer(place)
    generator = torch.Generator().manual_seed(0)
    files: dict[str, str] = {}
    for number in range(sizes.layers):
        layer = layer_of(sizes, f"model.layers.{number}", generator)
        write_shard(place, number, layer, files)
    outside = {
        "model.embed_tokens.weight": matrix(sizes.vocabulary, sizes.hidden, generator),
        "model.norm.weight": torch.ones(sizes.hidden, dtype=torch.bfloat16),
        "lm_head.weight": matrix(sizes.vocabulary, sizes.hidden, generator),
    }
    write_shard(place, sizes.layers, outside, files)
    return write_index(place, files)


def layer_of(sizes: Sizes, prefix: str, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the tensors of one layer."""
    hidden, inner = sizes.hidden, sizes.inner
    tensors = {}
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        tensors[f"{prefix}.self_attn.{name}.weight"] = matrix(hidden, hidden, generator)
    for name in ("gate_proj", "up_proj"):
        tensors[f"{prefix}.mlp.{name}.weight"] = matrix(inner, hidden, generator)
    tensors[f"{prefix}.mlp.down_proj.weight"] = matrix(hidden, inner, generator)
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"{prefix}.{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    return tensors


def write_shard(place: Path, number: int, tensors: dict[str, Tensor], files: dict[str, str]) -> None:
    """Write tensors to a file, and note in ``files`` which file that is."""
    file = f"model-{number + 1:05d}.safetensors"
    save_file(tensors, place / file, metadata={"format": "pt"})
    files.update(dict.fromkeys(tensors, file))


def matrix(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Return random weights that keep what they are given about as large as it was."""
    return torch.randn(rows, columns, generator=generator).mul_(columns**-0.5).to(torch.bfloat16)


def write_index(place: Path, files: dict[str, str]) -> int:
    """Write which tensor is in which file; return the bytes of all of them."""
    nbytes = sum((place / file).stat().st_size for file in set(files.values()))
    index = {"metadata": {"total_size": nbytes}, "weight_map": files}
    (place / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return nbytes


def write_tokenizer(place: Path) -> None:
    """Write a tokenizer with a token for each letter."""
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", *LETTERS])}
    letters = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    letters.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="[PAD]", unk_token="[UNK]"
    )
    fast.save_pretrained(place)


def write_texts(path: Path, count: int, tokens: int) -> None:
    """Write texts of so many random letters."""
    generator = random.Random(0)
    lines = ["".join(generator.choices(LETTERS, k=tokens)) for _ in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def in_process(place: Path, name: str, memory: str) -> dict[str, Any]:
    """Compress in a process of its own; return what that took."""
    command = [sys.executable, "-m", "benchmarks.larger", CHILD, str(place), name, memory]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    print(name, found, flush=True)
    return found


class Watched:
    """Progress that notes when calibration ended, and how much of the disk it took at most."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._times: list[tuple[float, float]] = []
        self.peak_collecting = 0
        self.disk = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note how far calibration is."""
        if not stage.startswith(READING):
            return
        self._times.append((done / total, time.perf_counter()))
        self.peak_collecting = high_water_mark()
        nbytes = 0
        for hidden in self._place.glob(".*"):
            nbytes += sum(file.stat().st_size for file in hidden.rglob("*") if file.is_file())
        self.disk = max(self.disk, nbytes)

    def seconds(self, start: int, stop: int, steps: int) -> float:
        """Return how long it took from one step to another, of so many that take as many tokens."""
        at = {}
        for share, now in self._times:
            at[round(share * steps, 6)] = now
        return at[stop] - at[start]


def child(place: Path, name: str, memory: str) -> None:
    """Compress, and print what it took."""
    output = place / name
    watched = Watched(place)
    texts = prensa.Source(place / "texts.txt")
    start = time.perf_counter()
    result = prensa.compress(
        place / "model", output, preset="small", texts=texts, memory=memory, progress=watched
    )
    seconds = time.perf_counter() - start
    assert result.manifest is not None
    found: dict[str, Any] = {"memory": memory, "seconds": round(seconds, 1)}
    config = json.loads((place / "model" / "config.json").read_text(encoding="utf-8"))
    layers = config["num_hidden_layers"]
    if name == STREAMED:
        # Forwards, what is behind the layers, the way back, and what is in front of them. The first layer's
        # beginning is not reported.
        steps = 2 * layers + 2
        found["seconds_a_layer"] = {
            "forwards": round(watched.seconds(1, layers, steps) / max(1, layers - 1), 2),
            "back": round(watched.seconds(layers + 1, 2 * layers + 1, steps) / layers, 2),
        }
    found |= {
        "peak_collecting_mb": round(watched.peak_collecting / 1e6, 1),
        "peak_mb": round(high_water_mark() / 1e6, 1),
        "disk_mb": round(watched.disk / 1e6, 1),
        "result_mb": round(result.manifest.nbytes / 1e6, 1),
        "sha256": [file.sha256 for file in result.manifest.files],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.argv[1:2] == [CHILD]:
        child(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        main()
