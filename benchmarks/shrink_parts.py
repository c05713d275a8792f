"""What each part of shrinking is worth: ``toxic-deberta`` made twice as fast with and without it.

One preparation serves all. Each result is as fast by the clock in OpenVINO in 8 bits, is not trained, and
answers 1,000 comments in PyTorch float32 beside the original. ``python -m benchmarks.shrink_parts [SPEED]``.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers

from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import save
from benchmarks.shrink import prepared_in
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.ops.surgeon import RemovalPath, removal_path
from prensa.shrink import run
from prensa.shrink.cuts import step_of, upright
from prensa.shrink.run import Prepared
from prensa.texts.batches import by_tokens
from prensa.texts.columns import read_texts
from prensa.texts.encoding import Encoded, encode, pad
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer

FASTER = 2.0
TEXTS = 1000


def main() -> None:
    """Prepare once, then shrink with everything, and without one part after the other."""
    transformers.utils.logging.disable_progress_bar()
    faster = float(sys.argv[1]) if len(sys.argv) > 1 else FASTER
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepared_in(Path(folder))
        judge = _Judge.of(prepared)
        for name, change in CHANGES.items():
            start = time.perf_counter()
            try:
                found = change(prepared, faster)
            except run.Unreached as unreached:
                results[name] = {"unreached": unreached.fastest}
            else:
                results[name] = {**judge.compared(found.model), **_structure(found)}
            results[name]["seconds"] = round(time.perf_counter() - start, 1)
            print(name, results[name], flush=True)
    save("shrink_parts", {"model": "toxic-deberta", "faster": faster, "results": results})


def _everything(prepared: Prepared, faster: float) -> run.Shrunk:
    return run.shrunk(prepared, faster)


def _without_least_squares(prepared: Prepared, faster: float) -> run.Shrunk:
    with mock.patch.object(run, "_repair"):
        return run.shrunk(prepared, faster)


def _by_magnitude(prepared: Prepared, faster: float) -> run.Shrunk:
    """Choose by the size of weights: as if all inputs were alike, and all outputs as important."""
    paths: dict[str, RemovalPath] = {}
    for part in prepared.plan.anatomy.parts:
        weight = upright(prepared.original.get_submodule(part.reader))
        moment = torch.eye(weight.shape[1], dtype=torch.float64)
        importance = torch.ones(weight.shape[0])
        paths[part.reader] = removal_path(weight, moment, importance, part.columns, step_of(part))
    return run.shrunk(dataclasses.replace(prepared, paths=paths), faster)


def _only(kind: str) -> Callable[[Prepared, float], run.Shrunk]:
    def shrink(prepared: Prepared, faster: float) -> run.Shrunk:
        return run.shrunk(dataclasses.replace(prepared, paths=_paths(prepared, kind)), faster)

    return shrink


def _even(prepared: Prepared, faster: float) -> run.Shrunk:
    """Give all layers one feed-forward width, and let layers go: what a config can say."""
    plan = dataclasses.replace(prepared.plan, even=True)
    return run.shrunk(dataclasses.replace(prepared, plan=plan, paths=_paths(prepared, "neurons")), faster)


def _without_layers(prepared: Prepared, faster: float) -> run.Shrunk:
    return run.shrunk(dataclasses.replace(prepared, depths=prepared.depths[:1]), faster)


CHANGES: Mapping[str, Callable[[Prepared, float], run.Shrunk]] = {
    "everything": _everything,
    "without least squares": _without_least_squares,
    "by magnitude": _by_magnitude,
    "layers stay": _without_layers,
    "heads stay": _only("neurons"),
    "neurons stay": _only("heads"),
    "even": _even,
}


def _paths(prepared: Prepared, kind: str) -> dict[str, RemovalPath]:
    """Return what is known of the parts of one kind."""
    found: dict[str, RemovalPath] = {}
    for part in prepared.plan.anatomy.parts:
        if part.kind == kind:
            found[part.reader] = prepared.paths[part.reader]
    return found


def _structure(found: run.Shrunk) -> dict[str, Any]:
    report = found.report
    row: dict[str, Any] = {"measured": round(report.faster, 2), "layers": list(report.layers)}
    for kind in ("heads", "neurons"):
        row[kind] = [len(part.kept) for part in report.parts if part.kind == kind]
    return row


@dataclasses.dataclass(frozen=True)
class _Judge:
    encoded: Encoded
    labels: torch.Tensor
    original: torch.Tensor

    @classmethod
    def of(cls, prepared: Prepared) -> _Judge:
        task = task_of(load_config(MODEL))
        assert task is not None
        texts = read_texts(Source(COMMENTS, limit=TEXTS), task)
        encoded = encode(load_tokenizer(MODEL), texts, "classes", 128)
        assert texts.labels is not None
        labels = torch.tensor([int(str(label)) for label in texts.labels])
        return cls(encoded, labels, _logits(prepared.original, encoded))

    def compared(self, model: torch.nn.Module) -> dict[str, float]:
        logits = _logits(model, self.encoded)
        divergence = torch.nn.functional.kl_div(
            logits.log_softmax(-1), self.original.log_softmax(-1), log_target=True, reduction="batchmean"
        )
        answers = logits.argmax(-1)
        return {
            "accuracy": round(float((answers == self.labels).float().mean()), 4),
            "same_answer": round(float((answers == self.original.argmax(-1)).float().mean()), 4),
            "divergence": round(float(divergence), 4),
        }


@torch.inference_mode()
def _logits(model: torch.nn.Module, encoded: Encoded) -> torch.Tensor:
    found: dict[int, torch.Tensor] = {}
    for indices in by_tokens(encoded.lengths, 2048):
        inputs = pad([encoded.rows[index] for index in indices], encoded, "cpu")
        logits = model(**inputs).logits
        found.update(zip(indices, logits, strict=True))
    return torch.stack([found[index] for index in range(len(found))])


if __name__ == "__main__":
    main()
