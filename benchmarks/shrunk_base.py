"""How fast a DeBERTa-v3-base is with 8 of its 12 layers and a third of its feed-forward width.

Against the original in PyTorch float32, and against its own export in 8 bits: called in turn, as in
``benchmarks.inference``. Weights are random: good for times, never for accuracy.
``python -m benchmarks.shrunk_base [avx2]``; the word says what the libraries were held to by their variables.
"""

from __future__ import annotations

import copy
import shutil
import sys
import tempfile
from pathlib import Path

import torch
import transformers

from benchmarks.inference import ROUNDS, SIZES, Call, exported_call, measured, torch_call
from benchmarks.record import SHARED, save
from benchmarks.speed import make_base
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.torch import load_on
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.narrow import Kept, narrow

LAYERS = (0, 1, 3, 4, 6, 7, 9, 11)
NEURONS = 1024


def main() -> None:
    """Make the contenders, and call them in turn."""
    transformers.utils.logging.disable_progress_bar()
    held_to = "".join(sys.argv[1:2])
    with tempfile.TemporaryDirectory() as place:
        base = make_base(Path(place) / "base")
        shutil.copyfile(SHARED / "data" / "deberta-v3-tokenizer" / "spm.model", base / "spm.model")
        contenders = _contenders(base, Path(place))
        sizes = {f"{b} x {n}": measured(contenders, b, n, ROUNDS) for b, n in SIZES}
    name = "shrunk_base"
    if held_to:
        name += f"_{held_to}"
    save(name, {"layers": len(LAYERS), "neurons": NEURONS, "held_to": held_to, "sizes": sizes})


def _contenders(base: Path, place: Path) -> dict[str, Call]:
    original = load_on(base, torch.float32, "cpu", 0)
    small = copy.deepcopy(original)
    anatomy = anatomy_of(base)
    units = {}
    for part in anatomy.parts:
        if part.kind == "neurons" and part.layer in LAYERS:
            units[part.reader] = torch.arange(NEURONS)
    narrow(small, anatomy, Kept(LAYERS, units))
    found = {"PyTorch fp32": torch_call(original), "shrunk, PyTorch fp32": torch_call(copy.deepcopy(small))}
    for kind, model in (("original", original), ("shrunk", small)):
        folded = copy.deepcopy(model)
        accelerate_answers(folded)
        found[f"{kind}, folded fp32"] = torch_call(folded)
        name = f"{kind}, openvino int8"
        found[name] = exported_call(folded, base, place / name, "openvino", "int8")
    return found


if __name__ == "__main__":
    main()
