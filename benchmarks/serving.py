"""What ``toxic-deberta`` loses and gains when it is served: 4,000 comments in every runtime.

The original in PyTorch float32 as it is and each other answer the same batches, sorted by length, in turns.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from sklearn.metrics import f1_score

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, save, spread
from prensa.runtime.served import Served

PART = 500  # texts that each answers before the next has its turn
RESAMPLES = 2000
EXPORTS = (("openvino", "int8"), ("onnxruntime", "int8"))


def main() -> None:
    """Export, answer, compare."""
    transformers.utils.logging.disable_progress_bar()
    with COMMENTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts, truth = [row["text"] for row in rows], np.array([int(row["label"]) for row in rows])
    with tempfile.TemporaryDirectory() as place:
        models = {"PyTorch float32, as it is": _as_it_is()}
        models |= {
            f"torch {dtype}": prensa.load(MODEL, runtime="torch", dtype=dtype) for dtype in ("bfloat16",)
        }
        sizes = {}
        for runtime, precision in EXPORTS:
            name = f"{runtime} {precision}"
            output = Path(place) / name
            train = SHARED / "data" / "toxic-comments" / "train.csv"
            prensa.export(MODEL, output, to=runtime, precision=precision, texts=train)
            models[name] = prensa.load(output, runtime=runtime)
            sizes[name] = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        seconds: dict[str, list[float]] = {name: [] for name in models}
        found: dict[str, list[int]] = {name: [] for name in models}
        for at in range(0, len(texts), PART):
            for name, model in models.items():
                start = time.perf_counter()
                found[name] += [
                    int(answer.output.argmax()) for answer in model.predict(texts[at : at + PART])
                ]
                seconds[name].append(time.perf_counter() - start)
            print(at, {name: round(each[-1], 1) for name, each in seconds.items()}, flush=True)
    answers = {name: np.array(each) for name, each in found.items()}
    first = next(iter(models))
    results = {
        name: _compared(answers[first], answers[name], truth)
        | {"seconds": spread(seconds[name]), "nbytes": sizes.get(name)}
        | {"times_as_fast": round(sum(seconds[first]) / sum(seconds[name]), 2)}
        for name in models
    }
    save("serving", {"model": "toxic-deberta", "texts": len(texts), "results": results})


def _as_it_is() -> Served:
    """Serve the original without folding it."""
    served: Served = prensa.load(MODEL, runtime="torch", dtype="float32")
    prensa.runtime.deberta.unfold(served.engine.model)  # type: ignore[attr-defined]
    return served


def _compared(before: NDArray[Any], after: NDArray[Any], truth: NDArray[Any]) -> dict[str, Any]:
    """Return accuracy and macro F1 with the 95 % interval of their change, over resampled texts."""
    chooser = np.random.default_rng(0)
    samples = [chooser.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES)]
    accuracy = [float((after[s] == truth[s]).mean() - (before[s] == truth[s]).mean()) for s in samples]
    f1 = [_f1(truth[s], after[s]) - _f1(truth[s], before[s]) for s in samples[: RESAMPLES // 4]]
    return {
        "accuracy": float((after == truth).mean()),
        "accuracy_change": float((after == truth).mean() - (before == truth).mean()),
        "accuracy_change_interval": _interval(accuracy),
        "macro_f1_change": _f1(truth, after) - _f1(truth, before),
        "macro_f1_change_interval": _interval(f1),
        "same_answer": float((after == before).mean()),
    }


def _f1(truth: NDArray[Any], found: NDArray[Any]) -> float:
    return float(f1_score(truth, found, average="macro"))


def _interval(changes: Sequence[float]) -> list[float]:
    return [float(end) for end in np.quantile(changes, [0.025, 0.975])]


if __name__ == "__main__":
    main()
