"""How fast a DeBERTa-v3-base answers in every runtime, folded by Prensa and as it is, called in turn.

Each answers twice, and the second answer is timed: whoever serves a model runs no other one between two
answers, and finds its weights where the last answer left them. Weights are random: good for times, never for
accuracy. torchao is among them where it is installed.
"""

from __future__ import annotations

import copy
import csv
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import nn

from benchmarks.record import SHARED, save, spread
from benchmarks.speed import make_base
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.int8 import multiply_in_int8
from prensa.runtime.torch import load_on
from prensa.serving.exported import arrays
from prensa.serving.program import trace
from prensa.serving.runtimes import RUNTIMES

SIZES = ((1, 16), (1, 64), (8, 128), (1, 384))
GRID = tuple((batch, length) for batch in (1, 8, 32) for length in (1, 16, 64, 128, 256, 512))
ROUNDS, GRID_ROUNDS = 7, 3
_IN_THE_GRID = ("PyTorch fp32", "folded fp32", "Prensa: openvino int8")
_SAMPLES = 32
_MANY_TOKENS = 4096  # beyond, calls take tens of seconds, and one round is enough

Call = Callable[[NDArray[np.int64], NDArray[np.int64]], object]


def main() -> None:
    """Make the contenders, and call them in turn."""
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        base = make_base(Path(place) / "base")
        shutil.copyfile(SHARED / "data" / "deberta-v3-tokenizer" / "spm.model", base / "spm.model")
        contenders = _contenders(base, Path(place))
        sizes = {f"{b} x {n}": measured(contenders, b, n, ROUNDS) for b, n in SIZES}
        some = {name: contenders[name] for name in _IN_THE_GRID}
        grid = {
            f"{b} x {n}": measured(some, b, n, GRID_ROUNDS if b * n <= _MANY_TOKENS else 1) for b, n in GRID
        }
    save("inference", {"int8_peak_gops": _peak(), "sizes": sizes, "grid": grid})


def _contenders(base: Path, place: Path) -> dict[str, Call]:
    original = load_on(base, torch.float32, "cpu", 0)
    folded = copy.deepcopy(original)
    accelerate_answers(folded)
    found = {"PyTorch fp32": torch_call(original), "folded fp32": torch_call(folded)}
    found["PyTorch bf16"] = torch_call(copy.deepcopy(original).to(torch.bfloat16))
    found["folded bf16"] = torch_call(copy.deepcopy(folded).to(torch.bfloat16))
    integers = copy.deepcopy(folded)
    multiply_in_int8(integers, {}, torch.bfloat16)
    found["folded int8"] = torch_call(integers)
    found["torch.compile fp32"] = torch_call(
        cast("nn.Module", torch.compile(copy.deepcopy(original), dynamic=False))
    )
    found["bitsandbytes int8"] = torch_call(_bitsandbytes(base))
    if importlib.util.find_spec("torchao") is not None:
        found["torchao int8"] = torch_call(_torchao(original))
    for kind, model in (("as is", original), ("Prensa", folded)):
        for runtime, precision in (
            ("openvino", "bf16"),
            ("openvino", "int8"),
            ("onnxruntime", "fp32"),
            ("onnxruntime", "int8"),
        ):
            name = f"{kind}: {runtime} {precision}"
            found[name] = exported_call(model, base, place / name, runtime, precision)
    return found


def torch_call(model: nn.Module) -> Call:
    """Return a call of a model in PyTorch."""

    @torch.inference_mode()
    def call(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> object:
        return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits

    return call


def _bitsandbytes(base: Path) -> nn.Module:
    settings = transformers.BitsAndBytesConfig(load_in_8bit=True)
    model: nn.Module = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, quantization_config=settings, device_map={"": "cpu"}, dtype=torch.bfloat16
    )
    return model.eval()


def _torchao(original: nn.Module) -> nn.Module:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = copy.deepcopy(original)
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    return model


def exported_call(model: nn.Module, base: Path, place: Path, runtime: str, precision: str) -> Call:
    """Export a model, with ranges of a few comments, and return a call of the export."""
    place.mkdir()
    with (SHARED / "data" / "toxic-comments" / "train.csv").open(encoding="utf-8", newline="") as file:
        comments = [row["text"] for _, row in zip(range(_SAMPLES), csv.DictReader(file), strict=False)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    rows = [dict(tokenizer(text, truncation=True, max_length=128)) for text in comments]
    model = copy.deepcopy(model)
    if RUNTIMES[runtime].ATTENTION is not None:
        cast("Any", model).set_attn_implementation(RUNTIMES[runtime].ATTENTION)
    program = trace(model, rows[0], 512)
    RUNTIMES[runtime].write(program, place, precision, [arrays(row, program.inputs) for row in rows])
    engine = RUNTIMES[runtime].Engine(place, precision)
    return lambda ids, mask: engine({"input_ids": ids, "attention_mask": mask})


def measured(contenders: dict[str, Call], batch: int, length: int, rounds: int) -> dict[str, Any]:
    """Call all in turn on one batch; return the seconds of each, and how many times as fast it is."""
    ids = np.random.default_rng(0).integers(5, 128000, (batch, length))
    mask = np.ones_like(ids)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, call in contenders.items():
            call(ids, mask)
            start = time.perf_counter()
            call(ids, mask)
            if number > 0:  # the first round is to warm up
                seconds[name].append(time.perf_counter() - start)
    reference = spread(seconds["PyTorch fp32"])
    found = {}
    for name, times in seconds.items():
        each = spread(times)
        found[name] = each | {
            "times_as_fast": round(reference["median"] / max(each["median"], 1e-4), 2),
            "of_minima": round(reference["minimum"] / max(each["minimum"], 1e-4), 2),
        }
    return found


def _peak() -> float:
    """Return how many billion int8 operations a second PyTorch does on a feed-forward layer's shape."""
    left, right = (torch.randint(-100, 100, shape, dtype=torch.int8) for shape in ((1024, 768), (768, 3072)))
    times = []
    for _ in range(30):
        start = time.perf_counter()
        torch._int_mm(left, right)  # noqa: SLF001  it has no other name
        times.append(time.perf_counter() - start)
    return round(2 * 1024 * 768 * 3072 / min(times) / 1e9, 1)


if __name__ == "__main__":
    main()
