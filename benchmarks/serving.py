"""What ``toxic-deberta`` loses and gains when it is served: 4,000 comments in every runtime.

The original in PyTorch float32 as it is and each other answer the same batches, sorted by length, in turns.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import transformers

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, save, spread
from prensa.checkpoint.kinds import Task
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.predict import Output
from prensa.evaluation.quality import Outputs, compare
from prensa.runtime.deberta import unfold
from prensa.runtime.first import read_all
from prensa.serving.served import Served
from prensa.texts.columns import Texts, read_texts
from prensa.texts.source import Source

PART = 500  # texts that each answers before the next has its turn
EXPORTS = (("openvino", "int8"), ("onnxruntime", "int8"))


def main() -> None:
    """Export, answer, compare."""
    transformers.utils.logging.disable_progress_bar()
    task = task_of(load_config(MODEL))
    assert task is not None
    texts = read_texts(Source(COMMENTS), task)
    with tempfile.TemporaryDirectory() as place:
        models = {
            "PyTorch float32, as it is": as_it_is(),
            "torch bfloat16": prensa.load(MODEL, runtime="torch", dtype="bfloat16"),
        }
        try:
            models["torch int8"] = prensa.load(MODEL, runtime="torch", dtype="int8")
        except prensa.PrensaError as error:  # its layers are small
            print(error, flush=True)
        sizes = {}
        for runtime, precision in EXPORTS:
            name = f"{runtime} {precision}"
            output = Path(place) / name
            train = SHARED / "data" / "toxic-comments" / "train.csv"
            prensa.export(MODEL, output, to=runtime, precision=precision, texts=train)
            models[name] = prensa.load(output, runtime=runtime)
            sizes[name] = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        found, seconds = answered(models, texts)
    first = next(iter(models))
    results = {
        name: compared(found[first], found[name], texts, task)
        | {"seconds": spread(seconds[name]), "nbytes": sizes.get(name)}
        | {"times_as_fast": round(sum(seconds[first]) / sum(seconds[name]), 2)}
        for name in models
    }
    save("serving", {"model": "toxic-deberta", "texts": len(texts), "results": results})


def answered(models: dict[str, Any], texts: Texts) -> tuple[dict[str, list[Output]], dict[str, list[float]]]:
    """Let each answer all texts, in parts and in turns. Return the answers, and the seconds of each part."""
    found: dict[str, list[Output]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for at in range(0, len(texts), PART):
        for name, model in models.items():
            start = time.perf_counter()
            found[name] += [answer.output for answer in model.predict(texts.texts[at : at + PART])]
            seconds[name].append(time.perf_counter() - start)
        print(at, {name: round(each[-1], 1) for name, each in seconds.items()}, flush=True)
    return found, seconds


def as_it_is() -> Served:
    """Serve the original without folding it."""
    served: Served = prensa.load(MODEL, runtime="torch", dtype="float32")
    model = served.engine.model  # type: ignore[attr-defined]
    read_all(model)
    unfold(model)
    return served


def compared(before: list[Output], after: list[Output], texts: Texts, task: Task) -> dict[str, Any]:
    """Compare answers with those of the original."""
    quality = compare(Outputs(task, texts, [], before, after), Draws())
    metrics = {metric.name: metric for metric in quality.metrics}
    accuracy, f1 = metrics["accuracy"], metrics["macro F1"]
    return {
        "accuracy": accuracy.result,
        "accuracy_change": accuracy.difference,
        "accuracy_change_interval": accuracy.interval,
        "macro_f1_change": f1.difference,
        "macro_f1_change_interval": f1.interval,
        "same_answer": quality.agreement.value if quality.agreement else None,
    }


if __name__ == "__main__":
    main()
