"""How long exporting the toxic-comment model takes: PyTorch's own answers before and now, and whole exports.

Before, the model as it is answered each of the 128 texts, and eight more for the record, by itself. Now a few
texts are answered so, to see that the folded model gives the same, and that one answers all in padded
batches. Both are timed in turns, in one process.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.record import SHARED, save, spread
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.torch import load_on
from prensa.serving.distance import distance
from prensa.serving.export import ExportPlan, plan_export, run_export
from prensa.serving.program import input_names
from prensa.serving.pytorch import Engine
from prensa.serving.ways import InBatches, find_way, one_by_one, probes, take
from prensa.texts.columns import built_in_texts, sample
from prensa.texts.encoding import Encoded, encode
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer

MODEL = SHARED / "models" / "toxic-deberta"
TEXTS = SHARED / "data" / "toxic-comments" / "train.csv"
ROUNDS, EXPORTS = 3, 2
_BUILT_IN, _SHORT = 8, 64  # what the record kept before


def main() -> None:
    """Time answers before and now, in turns, and then whole exports."""
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        os.environ["PRENSA_CACHE"] = str(Path(place) / "cache")
        plans = {to: _plan(Path(place) / to, to) for to in ("openvino", "onnxruntime")}
        answers = _answers(plans["openvino"])
        exports = {to: _exports(plan) for to, plan in plans.items()}
    save("export", {"model": "toxic-deberta", "precision": "int8", "answers": answers, "exports": exports})


def _plan(output: Path, to: str) -> ExportPlan:
    return plan_export(MODEL, output, to=to, precision="int8", texts=Source(TEXTS), force=True)


def _answers(plan: ExportPlan) -> dict[str, Any]:
    built_in = encode(load_tokenizer(MODEL), sample(built_in_texts(), _BUILT_IN), "embedding", _SHORT)
    works = {"before": lambda: _before(plan.samples, built_in), "now": lambda: _now(plan.samples)}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for name, work in works.items():
            found[name], taken, busy = _timed(work)
            seconds[name].append(taken)
            processor[name].append(busy)
    return {
        "texts": len(plan.samples.rows),
        "tokens": sum(plan.samples.lengths),
        "distance": distance(found["now"], found["before"]),
        "before": {"seconds": spread(seconds["before"]), "processor_seconds": spread(processor["before"])},
        "now": {"seconds": spread(seconds["now"]), "processor_seconds": spread(processor["now"])},
        "times_as_fast": {
            "of_medians": _ratio(seconds, "median"),
            "of_minima": _ratio(seconds, "minimum"),
            "of_processor_minima": _ratio(processor, "minimum"),
        },
    }


def _ratio(seconds: dict[str, list[float]], which: str) -> float:
    return round(spread(seconds["before"])[which] / spread(seconds["now"])[which], 2)


def _before(texts: Encoded, built_in: Encoded) -> list[Any]:
    model = load_on(MODEL, torch.float32, "cpu", texts.fill["input_ids"])
    names = input_names(model, texts.rows[0])
    one_by_one(Engine(model), built_in, names)
    return one_by_one(Engine(model), texts, names)


def _now(texts: Encoded) -> list[Any]:
    model = load_on(MODEL, torch.float32, "cpu", texts.fill["input_ids"])
    names = input_names(model, texts.rows[0])
    tried, engine = take(texts, probes(texts)), Engine(model)
    truth = one_by_one(engine, tried, names)
    accelerate_answers(model)
    way = find_way(engine, tried, names, truth)
    if way is None:
        raise SystemExit("the folded model gives other answers")
    found = dict(InBatches(engine, names, way).answers(texts))
    return [found[index] for index in range(len(texts.rows))]


def _exports(plan: ExportPlan) -> dict[str, Any]:
    """Time whole exports, and each stage by when the next one began."""
    whole, stages, differences = [], [], []
    for _ in range(EXPORTS):
        marks: list[tuple[int, float]] = []

        def step(_: str, done: int, __: int, marks: list[tuple[int, float]] = marks) -> None:
            marks.append((done, time.perf_counter()))

        record, taken, busy = _timed(lambda step=step: run_export(plan, step))  # type: ignore[misc]
        whole.append((taken, busy))
        differences.append(record.difference)
        stages.append([later - earlier for (_, earlier), (_, later) in itertools.pairwise(marks)])
    names = ("load and try ways to answer", "trace", "convert and quantize", "compare", "record and copy")
    return {
        "seconds": spread([taken for taken, _ in whole]),
        "processor_seconds": spread([busy for _, busy in whole]),
        "stages": {name: spread([each[at] for each in stages]) for at, name in enumerate(names)},
        "difference": round(max(differences), 5),
    }


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    start, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - start, time.process_time() - busy


if __name__ == "__main__":
    main()
