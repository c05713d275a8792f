"""Time and memory of calibrated pressing at DeBERTa-v3-base's true size: 128 texts of 128 pieces, no search.

In a child process of its own. Weights are random: good for time and memory, never for accuracy.
``python -m benchmarks.calibrated_speed [FASTER]``: with ``2x`` the model is shrunk first, and the result is
``shrunk_cost``.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import transformers

import prensa
from benchmarks.record import SHARED, save
from benchmarks.speed import make_base
from prensa.evaluation.memory import high_water_mark

TEXTS, PIECES = 128, 128
TOKENIZER = SHARED / "data" / "deberta-v3-tokenizer"


def main() -> None:
    """Make the model and the texts, and press in a child process."""
    transformers.utils.logging.disable_progress_bar()
    faster = "".join(sys.argv[1:2])
    with tempfile.TemporaryDirectory() as place:
        base = make_base(Path(place) / "base")
        shutil.copyfile(TOKENIZER / "spm.model", base / "spm.model")
        texts = Path(place) / "texts.jsonl"
        _write_texts(base, texts)
        command = [sys.executable, "-m", "benchmarks.calibrated_speed", str(base), str(texts), faster]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    save("shrunk_cost" if faster else "calibrated_speed", json.loads(done.stdout.splitlines()[-1]))


def _write_texts(base: Path, path: Path) -> None:
    """Write texts of just so many pieces, from the training comments one after the other."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    with (SHARED / "data" / "toxic-comments" / "train.csv").open(encoding="utf-8", newline="") as file:
        comments = " ".join(row["text"] for _, row in zip(range(2000), csv.DictReader(file), strict=False))
    ids = tokenizer(comments, add_special_tokens=False, verbose=False)["input_ids"]
    inside = PIECES - tokenizer.num_special_tokens_to_add()
    texts = [tokenizer.decode(ids[start : start + inside]) for start in range(0, TEXTS * inside, inside)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def _child(model: str, texts: str, faster: str) -> None:
    start = time.perf_counter()
    output = Path(model).parent / "out"
    manifest = prensa.compress(model, output, texts=texts, faster=faster or None).manifest
    assert manifest is not None
    seconds = time.perf_counter() - start
    peak, before = high_water_mark(), manifest.nbytes_float32
    assert manifest.calibration is not None
    result: dict[str, Any] = {
        "texts": manifest.calibration.count,
        "pieces": manifest.calibration.tokens,
        "seconds": round(seconds, 1),
        "nbytes_before": before,
        "nbytes": manifest.nbytes,
        "peak_bytes": peak,
        "peak_over_model": round((peak or 0) / before, 3),
    }
    if manifest.shrink is not None:
        result["asked"] = faster
        result["measured"] = round(manifest.shrink.faster, 2)
        result["layers"] = list(manifest.shrink.layers)
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _child(*sys.argv[1:])
    else:
        main()
