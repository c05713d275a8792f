"""Healing ``toxic-deberta``: bytes and quality on 4,000 test comments before and after, at some noises.

Usage: python -m benchmarks.healing [--noises 0.008 0.016] [--seconds 600] [--trimmed]. Calibrated and healed
on the training comments, without their labels; a trimmed vocabulary has what 99.9 % of their tokens need. A
result takes its place among those that are there.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from transformers.utils import logging

import prensa
from benchmarks.calibrated import TOKENS, TRAIN, comments_judge, judged
from benchmarks.evaluation import MODEL
from benchmarks.record import known, save

NOISES = (0.008, 0.016)
SECONDS = 600.0


def main(noises: Sequence[float], seconds: float, *, trimmed: bool) -> None:
    """Press at each noise, without healing and with it, and judge both."""
    logging.disable_progress_bar()
    judge = comments_judge()
    before = (MODEL / "model.safetensors").stat().st_size
    results = known("healing")
    kind, trim = "small", None
    if trimmed:
        kind, trim = "small, trimmed", prensa.TrimVocabulary(coverage=0.999)
    for noise in noises:
        for heal in (None, prensa.Heal(seconds)):
            name = f"{kind}, noise {noise}" + (", healed" if heal else "")
            with tempfile.TemporaryDirectory() as place:
                output = Path(place) / "out"
                made = prensa.compress(
                    MODEL, output, preset="small", noise=noise, texts=TRAIN, heal=heal, trim_vocabulary=trim
                )
                results[name] = judged(output, before, judge)
                assert made.manifest is not None
                if made.manifest.heal is not None:
                    results[name]["heal"] = dataclasses.asdict(made.manifest.heal)
            print(name, results[name], flush=True)
        facts = {"texts": len(judge.plan.texts), "tokens": TOKENS, "nbytes_before": before}
        save("healing", {"model": "toxic-deberta", **facts, "results": results})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noises", type=float, nargs="+", default=NOISES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--trimmed", action="store_true")
    arguments = parser.parse_args()
    main(arguments.noises, arguments.seconds, trimmed=arguments.trimmed)
