"""Calibrated pressing of ``toxic-deberta``: bytes of the weight file against quality on 4,000 test comments.

Calibrated on the training comments, and once on the built-in texts. Beside it, in the same run: the classic
presets, bitsandbytes' int8 and nf4, and error feedback with one relative step for all rows. Noises as
arguments (``--noises``, ``--built-in-noises``) add their results to those that are there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from transformers.utils import logging

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, known, save
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.evaluation.judge import Judge, plan_judge
from prensa.ops.gptq import feedback
from prensa.ops.statistics import Statistics
from prensa.passes import Bound, Gptq, Pass
from prensa.passes.gptq import quantize_rows
from prensa.pressing import pipeline
from prensa.pressing import run as running
from prensa.pressing.recipe import Changes, Recipe, adjusted, load_preset
from prensa.search.bitsandbytes import BITSANDBYTES, write_with_bitsandbytes
from prensa.texts.library import Library
from prensa.texts.source import Source

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
TOKENS = 128  # of a comment, as in the model's own figures
NOISES = (0.0005, 0.002, 0.004, 0.008)
BUILT_IN_NOISES = (0.008, 0.02)
RELATIVE_STEPS = (0.5, 0.7, 0.9)

Press = Callable[[Path], object]


def main(noises: Sequence[float], built_in_noises: Sequence[float]) -> None:
    """Press in every way, or with some noises only, and judge each result on all comments."""
    is_addition = bool(noises or built_in_noises)
    logging.disable_progress_bar()
    judge = comments_judge()
    before = (MODEL / "model.safetensors").stat().st_size
    results = known("calibrated") if is_addition else {}
    added = (*_calibrated(noises), *_general(built_in_noises))
    for name, press in added if is_addition else _contenders():
        with tempfile.TemporaryDirectory() as place:
            output = Path(place) / "out"
            press(output)
            results[name] = judged(output, before, judge)
        print(name, results[name], flush=True)
    save(
        "calibrated",
        {
            "model": "toxic-deberta",
            "texts": len(judge.plan.texts),
            "tokens": TOKENS,
            "nbytes_before": before,
            "results": results,
        },
    )


def comments_judge() -> Judge:
    """Return who judges by the test comments."""
    return Judge(plan_judge(MODEL, Source(COMMENTS), library=Library(), device="cpu", max_length=TOKENS))


def _contenders() -> Iterator[tuple[str, Press]]:
    for name, settings in BITSANDBYTES.items():
        yield name, partial(write_with_bitsandbytes, MODEL, settings)
    for preset, form in (("classic", "bitsandbytes"), ("classic", "packed"), ("int8", "packed")):
        recipe = adjusted(load_preset(preset), Changes(format=form))
        yield f"{preset} {form}", partial(_preset, recipe)
    yield from _calibrated(NOISES)
    task = collect(plan_calibration(MODEL, Source(TRAIN), library=Library()))
    for step in RELATIVE_STEPS:
        yield f"one relative step {step}", partial(_relative, task, step)
    yield from _general(BUILT_IN_NOISES)


def _calibrated(noises: Sequence[float]) -> Iterator[tuple[str, Press]]:
    task = collect(plan_calibration(MODEL, Source(TRAIN), library=Library())) if noises else None
    for noise in noises:
        assert task is not None
        yield f"small, noise {noise}", partial(_small, task, noise)


def _general(noises: Sequence[float]) -> Iterator[tuple[str, Press]]:
    general = collect(plan_calibration(MODEL, Source(), library=Library())) if noises else None
    for noise in noises:
        assert general is not None
        yield f"small on built-in texts, noise {noise}", partial(_small, general, noise)


def _preset(recipe: Recipe, output: Path) -> None:
    prensa.compress(MODEL, output, recipe=recipe)


def _small(statistics: Statistics, noise: float, output: Path) -> None:
    plan = pipeline.plan(MODEL, adjusted(load_preset("small"), Changes(noise=noise)), output)
    pipeline.run(plan, statistics=statistics)


def _relative(statistics: Statistics, step: float, output: Path) -> None:
    with _one_relative_step(step):
        _small(statistics, 0.002, output)


@contextmanager
def _one_relative_step(step: float) -> Iterator[None]:
    """Let the pass take the same share of each row's standard deviation as its step."""

    def bind(
        own: Pass, tensor: pipeline.TensorPlan, plan: pipeline.Plan, statistics: Statistics
    ) -> Pass | Bound:
        known = statistics.matrices.get(plan.model.own_name(tensor.spec.name) or "")
        if not isinstance(own, Gptq) or known is None:
            return own
        weight = plan.checkpoint.read(tensor.spec).float()
        spread = feedback(known.moment.whole(), own.dampening)
        return Bound(
            own, partial(quantize_rows, spread=spread, step=step * weight.std(1), offset=known.offset)
        )

    with mock.patch.object(running, "bind", bind):
        yield


def judged(output: Path, before: int, judge: Judge) -> dict[str, Any]:
    """Return a result's bytes, as a share of ``before``, and how well it does on all texts."""
    nbytes = sum(file.stat().st_size for file in output.glob("*.safetensors"))
    quality = judge.quality(output)
    metrics = {metric.name: metric for metric in quality.metrics}
    accuracy, f1 = metrics["accuracy"], metrics["macro F1"]
    figures = {figure.name: figure.value for figure in quality.figures}
    return {
        "nbytes": nbytes,
        "share": round(nbytes / before, 4),
        "accuracy": [accuracy.original, accuracy.result],
        "accuracy_change": accuracy.difference,
        "accuracy_change_interval": accuracy.interval,
        "macro_f1_change": f1.difference,
        "macro_f1_change_interval": f1.interval,
        **figures,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noises", type=float, nargs="*", default=[])
    parser.add_argument("--built-in-noises", type=float, nargs="*", default=[])
    main(**vars(parser.parse_args()))
