"""Trimmed vocabularies: ``toxic-deberta`` with the pieces of its comments, and DeBERTa-v3-base's own.

The first with calibrated pressing, judged on 4,000 test comments; the second, with random weights, for the
time and the memory that trimming to 32,000 pieces takes, in a process of its own. ``--noises`` adds results
to those that are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from benchmarks.calibrated import TRAIN, comments_judge, judged
from benchmarks.evaluation import MODEL
from benchmarks.record import SHARED, known, save
from benchmarks.speed import make_base
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.pressing import pipeline
from prensa.pressing.recipe import Changes, adjusted, load_preset
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.vocabulary.plan import plan_vocabulary
from prensa.vocabulary.settings import TrimVocabulary

NOISES = (0.002, 0.004, 0.0045, 0.0047, 0.005, 0.008, 0.01)
PIECES = 32_000
_TRIM = """
import json, sys, time
from dataclasses import replace
from prensa import TrimVocabulary, compress, load_preset
from prensa.evaluation.memory import high_water_mark
start = time.perf_counter()
model, output, texts, pieces = sys.argv[1:]
recipe = replace(load_preset("half"), format="plain")
compress(model, output, recipe=recipe, trim_vocabulary=TrimVocabulary(pieces=int(pieces)), texts=texts)
seconds = round(time.perf_counter() - start, 1)
print(json.dumps({"seconds": seconds, "peak_mib": round(high_water_mark() / 2**20)}))
"""


def main(noises: Sequence[float]) -> None:
    """Press and judge, then trim the large one."""
    logging.disable_progress_bar()
    judge = comments_judge()
    library = Library()
    before = (MODEL / "model.safetensors").stat().st_size
    statistics = collect(plan_calibration(MODEL, Source(TRAIN), library=library))
    results = known("vocabulary") if noises else {}
    vocabulary = plan_vocabulary(MODEL, TrimVocabulary(), Source(TRAIN), library=library)
    for noise in noises or NOISES:
        recipe = adjusted(load_preset("small"), Changes(noise=noise, trim_vocabulary=TrimVocabulary()))
        with tempfile.TemporaryDirectory() as place:
            output = Path(place) / "out"
            plan = pipeline.plan(MODEL, recipe, output, vocabulary=vocabulary)
            pipeline.run(plan, statistics=statistics)
            results[f"small, trimmed, noise {noise}"] = judged(output, before, judge)
        print(noise, results[f"small, trimmed, noise {noise}"], flush=True)
    save(
        "vocabulary",
        {
            "model": "toxic-deberta",
            "texts": len(judge.plan.texts),
            "nbytes_before": before,
            "pieces": [vocabulary.report.before, len(vocabulary.report.kept)],
            "results": results,
            "base": _trim_base(),
        },
    )


def _trim_base() -> dict[str, Any]:
    """Trim a DeBERTa-v3-base of random weights in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        base = make_base(Path(place) / "base")
        tokenizer = SHARED / "data" / "deberta-v3-tokenizer" / "spm.model"
        (base / "spm.model").write_bytes(tokenizer.read_bytes())
        start = time.perf_counter()
        arguments = [str(base), str(Path(place) / "out"), str(TRAIN), str(PIECES)]
        done = subprocess.run(
            [sys.executable, "-c", _TRIM, *arguments], check=True, capture_output=True, text=True
        )
        whole = round(time.perf_counter() - start, 1)
    return {"pieces": PIECES, "seconds_with_imports": whole, **json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noises", type=float, nargs="*", default=[])
    main(parser.parse_args().noises)
