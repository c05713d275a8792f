"""``toxic-deberta`` made smaller in structure: what each speed costs on 4,000 comments.

One preparation (moments, prices, clock) serves all speeds. Each result is exported to OpenVINO in 8 bits, and
answers the same batches as the original in PyTorch float32 as it is and in OpenVINO in 8 bits, in turns.
``python -m benchmarks.shrink [SPEED[:SECONDS OF DISTILLATION] …]``. Speeds as arguments add their results to
those that are there: each is compared with the originals of its own run.

A processor with AMX gives ``shrink.json``, one with VNNI alone ``shrink_vnni.json``, one without both
``shrink_avx2.json``. With ``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2``
the libraries take any processor for one of the last kind.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import transformers

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import SHARED, known, save, spread
from benchmarks.serving import answered, as_it_is, compared
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.runtime import processor
from prensa.serving.served import Served
from prensa.serving.stopwatch import Stopwatch
from prensa.shrink.learn import learn
from prensa.shrink.plan import plan_shrinking, rows_of
from prensa.shrink.run import Prepared, prepare, shrunk, write_shrunk
from prensa.shrink.settings import Shrink
from prensa.texts.columns import read_texts
from prensa.texts.library import Library
from prensa.texts.source import Source

TRAIN = SHARED / "data" / "toxic-comments" / "train.csv"
SPEEDS = ("1.7", "2.3", "3:600")
TIMED = 64
# The newest instructions that the libraries may use, and how the names of newer ones begin.
_LIMIT = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
_NEWER = ("avx512", "avx_vnni", "amx")
ORIGINAL, EXPORTED = "PyTorch float32, as it is", "OpenVINO int8"


def main() -> None:
    """Shrink, export, answer, compare."""
    transformers.utils.logging.disable_progress_bar()
    if _LIMIT:
        # What Prensa itself knows of the processor must not be more than what the libraries go by.
        older = [flag for flag in processor.cpu_flags() if not flag.startswith(_NEWER)]
        processor.cpu_flags = lambda: older
    speeds = sys.argv[1:] or SPEEDS
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        models = {ORIGINAL: as_it_is(), EXPORTED: _exported(MODEL, place / "original-openvino")}
        start = time.perf_counter()
        prepared = prepared_in(place)
        rows: dict[str, dict[str, Any]] = {"preparation": {"seconds": _since(start)}}
        print(rows, prepared.clock, flush=True)
        for speed in speeds:
            faster, _, distilled = speed.partition(":")
            row, directory = _made(prepared, float(faster), float(distilled or 0), place / f"shrunk-{speed}")
            name = f"{faster}×"
            if distilled:
                name += f", {float(distilled) / 60:g} minutes of distillation"
            models[name] = _exported(directory, place / f"openvino-{speed}")
            rows[name] = row
            print(name, row, flush=True)
        # The last one once more, as small as it gets.
        rows[name]["small"] = _pressed(directory, place / "small")
        _save(_answered(models, rows), is_addition=bool(sys.argv[1:]))


def prepared_in(place: Path) -> Prepared:
    """Measure what all speeds need, with OpenVINO in 8 bits as the clock."""
    plan = plan_shrinking(MODEL, Shrink(faster=2.0), Source(TRAIN), even=False, library=Library())
    timed = rows_of(plan.apart, range(TIMED))
    watch = Stopwatch("openvino", "int8", timed, plan.longest, place)
    return prepare(plan, watch.seconds, "openvino int8")


def _made(
    prepared: Prepared, faster: float, distilled: float, directory: Path
) -> tuple[dict[str, Any], Path]:
    """Shrink once, and say what became of the structure and how long it took."""
    start = time.perf_counter()
    if distilled:
        settings = Shrink(faster=faster, distill=distilled)
        plan = plan_shrinking(MODEL, settings, Source(TRAIN), even=False, library=Library())
        prepared = dataclasses.replace(prepared, plan=plan)
    result = shrunk(prepared, faster)
    if prepared.plan.distillation is not None:
        result = learn(result, prepared.original, prepared.plan, prepared.plan.distillation)
    directory.mkdir()
    write_shrunk(result, MODEL, directory)
    report = result.report
    row: dict[str, Any] = {"seconds": _since(start), "measured": round(report.faster, 2)}
    row["layers"] = list(report.layers)
    row["change"] = round(report.change, 4)
    for kind in ("heads", "neurons"):
        row[kind] = [len(part.kept) for part in report.parts if part.kind == kind]
    if report.distilled is not None:
        row["distilled"] = dataclasses.asdict(report.distilled)
    return row, directory


def _exported(directory: Path, output: Path) -> Served:
    prensa.export(directory, output, to="openvino", precision="int8", texts=TRAIN)
    served = prensa.load(output, runtime="openvino")
    assert isinstance(served, Served)
    return served


def _pressed(directory: Path, output: Path) -> dict[str, Any]:
    """Press a smaller model with ``small`` and a trimmed vocabulary: the bytes of its weight files."""
    trim = prensa.TrimVocabulary(coverage=0.999)
    result = prensa.compress(directory, output, preset="small", texts=TRAIN, trim_vocabulary=trim)
    assert result.manifest is not None
    before = (MODEL / "model.safetensors").stat().st_size
    return {"nbytes": result.manifest.nbytes, "share": round(result.manifest.nbytes / before, 4)}


def _answered(models: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Let everything answer all comments, in parts and in turns."""
    task = task_of(load_config(MODEL))
    assert task is not None
    texts = read_texts(Source(COMMENTS), task)
    found, seconds = answered(models, texts)
    results = dict(rows)
    for name in models:
        results[name] = {
            **rows.get(name, {}),
            **compared(found[ORIGINAL], found[name], texts, task),
            "answering": spread(seconds[name]),
            "times_pytorch": round(sum(seconds[ORIGINAL]) / sum(seconds[name]), 2),
            "times_openvino_int8": round(sum(seconds[EXPORTED]) / sum(seconds[name]), 2),
            # Another process that works for a while spoils a sum, but not what most parts say.
            "times_pytorch_by_part": _ratios(seconds[ORIGINAL], seconds[name]),
            "times_openvino_int8_by_part": _ratios(seconds[EXPORTED], seconds[name]),
        }
    return results


def _ratios(before: list[float], after: list[float]) -> dict[str, float]:
    """Sum up how many times as fast each part of the texts was answered."""
    return spread([slow / fast for slow, fast in zip(before, after, strict=True)])


def _save(results: dict[str, dict[str, Any]], *, is_addition: bool) -> None:
    """Write the results, beside those that are there already if they are additional ones."""
    name = "shrink" + _of_processor(processor.cpu_flags())
    earlier = known(name) if is_addition else {}
    save(name, {"model": "toxic-deberta", "limited_to": _LIMIT, "results": earlier | results})


def _of_processor(flags: list[str]) -> str:
    """Return how results are named by what multiplies integers here."""
    if "amx_int8" in flags:
        return ""
    if any(flag.endswith("vnni") for flag in flags):
        return "_vnni"
    return "_avx2"


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    main()
