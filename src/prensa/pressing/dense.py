"""Dense layers behind a Transformer: in half precision where the recipe has everything in it.

Sentence Transformers reads their files itself, so they stay plain safetensors that it can load.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prensa.checkpoint.sentence_transformers import read_chain
from prensa.errors import ModelError
from prensa.ops.spec import FLOATS, Role, TensorSpec
from prensa.passes import Half, Pass

_DENSE = "Dense"
_FILE = "model.safetensors"


def halve_dense_layers(directory: Path, passes: Iterable[Pass]) -> None:
    """Round the Dense layers of the model in a directory as the recipe's first pass ``half`` says.

    A model without such layers, a recipe without the pass, and files that are not whole stay as they are.
    """
    half = next((step for step in passes if isinstance(step, Half)), None)
    if half is None:
        return
    try:
        chain = read_chain(directory)
    except ModelError:
        # What cannot be understood was copied, for whoever can.
        return
    if chain is None:
        return
    for module in chain.modules:
        file = module.folder / _FILE
        if module.kind == _DENSE and file.is_file():
            _halve(file, half)


def _halve(file: Path, half: Half) -> None:
    try:
        tensors = load_file(file)
    except SafetensorError:
        # Loading it fails with the original, too.
        return
    rounded = {name: _rounded(name, tensor, file, half) for name, tensor in tensors.items()}
    save_file(rounded, file, metadata={"format": "pt"})


def _rounded(name: str, tensor: Tensor, file: Path, half: Half) -> Tensor:
    role: Role = "bias" if name.endswith("bias") else "linear"
    full = f"{file.parent.name}.{name}"
    spec = TensorSpec(full, tuple(tensor.shape), tensor.dtype, file.name, role, layer="Linear")
    if tensor.dtype not in FLOATS or not tensor.numel() or not half.is_targeted(spec):
        return tensor
    if tensor.itemsize <= half.dtype_after(tensor.dtype).itemsize:
        return tensor
    # NaN and what float16 cannot hold stay, as in the Transformer.
    if half.declines(float(tensor.abs().max()), tensor.dtype):
        return tensor
    return half.apply(tensor, spec)
