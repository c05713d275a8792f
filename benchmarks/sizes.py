"""How small the classic presets make ``toxic-deberta``, and what each technique adds to that.

Every size is that of the weight file on disk. A technique's own share is the size without it, all others on,
minus the size with all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import prensa
from benchmarks.record import SHARED, save
from prensa.pressing.recipe import Changes, Recipe, adjusted, load_preset

PRESETS = (
    *(("classic", "bitsandbytes"), ("classic", "packed"), ("half", "packed"), ("half", "plain")),
    *(("int8", "bitsandbytes"), ("int8", "packed")),
)
OFF: Mapping[str, Mapping[str, Any]] = {
    "all four": {},
    "without pruning": {"prune": 0},
    "without thresholding": {"threshold": 0},
    "without quantization": {"bits": 16},
}


def main() -> None:
    """Press with each preset in each format that takes it, then with each technique off."""
    model = SHARED / "models" / "toxic-deberta"
    before = (model / "model.safetensors").stat().st_size
    shares = {
        f"{preset} {form}": _press(model, adjusted(load_preset(preset), Changes(format=form)))
        for preset, form in PRESETS
    }
    save(
        "sizes",
        {
            "model": "toxic-deberta",
            "nbytes_before": before,
            "nbytes": shares,
            "share": {name: round(nbytes / before, 4) for name, nbytes in shares.items()},
            "half_packed_is_bit_exact": _is_bit_exact(model),
            "techniques": {
                form: _techniques(model, form, before) for form in ("plain", "bitsandbytes", "packed")
            },
        },
    )


def _press(model: Path, recipe: Recipe) -> int:
    with tempfile.TemporaryDirectory() as directory:
        prensa.compress(model, Path(directory) / "out", recipe=recipe)
        return (Path(directory) / "out" / "model.safetensors").stat().st_size


def _techniques(model: Path, form: str, before: int) -> dict[str, Any]:
    """Measure sizes with one technique off; in the plain format quantization is off throughout."""
    base = adjusted(load_preset("classic"), Changes(format=form, bits=16 if form == "plain" else 8))
    sizes = {}
    for name, change in OFF.items():
        if form != "packed" and "bits" in change:
            continue  # plain stores no integers, and bitsandbytes nothing else
        sizes[name] = _press(model, adjusted(base, Changes(**change)))
    whole = sizes["all four"]
    return {
        "nbytes": sizes,
        "gain_in_points_of_the_original": {
            name.removeprefix("without "): round(100 * (size - whole) / before, 2)
            for name, size in sizes.items()
            if name != "all four"
        },
    }


def _is_bit_exact(model: Path) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        prensa.compress(model, Path(directory) / "out", preset="half")
        state = prensa.load(Path(directory) / "out").state_dict()
    original = load_file(model / "model.safetensors")
    return all(
        torch.equal(state[name].view(torch.int16), weight.to(torch.float16).view(torch.int16))
        for name, weight in original.items()
    )


if __name__ == "__main__":
    main()
