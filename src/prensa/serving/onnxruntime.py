"""Export models to ONNX Runtime, and quantize them. What answers is in ``onnxruntime_engine``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from prensa.errors import ModelError, first_line
from prensa.runtime.processor import saturates
from prensa.serving.costs import Bits
from prensa.serving.exported import Inputs
from prensa.serving.onnx_back import constants_of, in_eight_bits, in_float, readers_by_name
from prensa.serving.onnx_halves import halve
from prensa.serving.onnx_nibbles import pack_nibbles
from prensa.serving.onnx_tables import shrink_tables, strip_remarks
from prensa.serving.onnx_turned import turn_weights
from prensa.serving.onnx_twins import merge_twins
from prensa.serving.onnxruntime_engine import FILE, FILES, NAME, Engine, model_file
from prensa.serving.program import Program, quiet
from prensa.serving.quantized_share import Written, check_share, share_in_onnx

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.onnx import ONNXProgram

__all__ = [
    "ATTENTION",
    "BITS",
    "FILE",
    "FILES",
    "NAME",
    "PRECISIONS",
    "PROJECTS",
    "Engine",
    "model_file",
    "write",
]

PRECISIONS: tuple[str, ...] = tuple(FILES)
BITS: Mapping[str, Bits] = {"int8": Bits(products=8, tables=4), "int4": Bits(products=4, tables=4)}
# PyTorch's exporter fails on the layout of the fused one in T5.
ATTENTION: str | None = "eager"
# From the layers in 8 bits, as it does with all that depends on no input.
PROJECTS = True

# A file of ONNX is one message of protobuf, which may be so long.
_LARGEST_FILE = (1 << 31) - 1


def write(
    program: Program,
    directory: Path,
    precision: str,
    samples: Sequence[Inputs],
    back: Mapping[str, int] = MappingProxyType({}),
) -> Written:
    """Export a graph in a precision, and write it.

    In ``fp16`` constants have half of the bytes, and what computes is float32. In ``int8`` the linear layers
    have 8 bits and embedding tables 4, in ``int4`` both have 4 in the file, and layers 8 once it is loaded.

    Layers in ``back`` have more: 8, or 32, by the digest of their weights. Activations are quantized as they
    come, so no samples are needed. Where the processor's 8-bit products saturate (x86 without VNNI) weights
    get 7 bits, which cannot. Raises :class:`ModelError` where other layers were left out of 8 bits, and for a
    file that would be too large.
    """
    target = directory / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    # A plain temporary directory in this one: quantizing reads the graph from a file, on the same disk.
    with quiet(), tempfile.TemporaryDirectory(dir=directory) as place:
        exported = _exported(program)
        # Weights of more than 2 GB go into a file beside it.
        if precision == "fp32":
            exported.save(target)
            return Written()
        source = Path(place) / "model.onnx"
        exported.save(source)
        if precision == "fp16":
            _halve(source, target)
            return Written()
        return _quantize(source, target, precision, back)


def _halve(source: Path, target: Path) -> None:
    import onnx

    model = onnx.load(source)
    halve(model)
    strip_remarks(model)
    _save(model, target)


def _quantize(source: Path, target: Path, precision: str, back: Mapping[str, int]) -> Written:
    """Have ONNX Runtime quantize the products, and put in fewer bits what it leaves or could be smaller."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    model = onnx.load(source)
    if turn_weights(model):
        # In float32 they may be more than a file of ONNX holds.
        onnx.save(model, source, save_as_external_data=True, location="turned.data")
    constants = constants_of(model, back)
    quantize_dynamic(
        source,
        target,
        # Not the lookups: with one scale for a whole table its small rows suffer.
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=saturates(),
        nodes_to_exclude=readers_by_name(model, in_float(constants, back)),
    )
    model = onnx.load(target)
    share = share_in_onnx(model)
    # Then layers stay out of 8 bits on purpose.
    if not back:
        check_share(share, "ONNX Runtime")
    # Again: what is in float may have been turned, under another name.
    shrink_tables(model, kept=in_float(constants_of(model, back), back))
    pack_nibbles(model, tables_alone=precision == "int8", kept=in_eight_bits(constants, back))
    strip_remarks(model)
    _save(model, target)
    return Written(share, frozenset(constants.values()))


def _save(model: ModelProto, target: Path) -> None:
    """Write a graph with its weights. Raises :class:`ModelError` for one that does not fit into a file."""
    import onnx

    nbytes = model.ByteSize()
    if nbytes > _LARGEST_FILE:
        raise ModelError(
            f"the model takes {nbytes / 1e9:.1f} GB, and a file of ONNX holds 2.1 GB; export with a smaller "
            "`precision`, or with `precision=fp32`, whose weights have a file to themselves"
        )
    onnx.save(model, target)


def _exported(program: Program) -> ONNXProgram:
    """Turn a graph of PyTorch into one of ONNX, once. It is only to be saved."""
    if NAME not in program.converted:
        program.converted[NAME] = _convert(program)
    return cast("ONNXProgram", program.converted[NAME])


def _convert(program: Program) -> ONNXProgram:
    """Turn a graph of PyTorch into one of ONNX. Raises :class:`ModelError` where that cannot be done."""
    import torch

    try:
        exported = torch.onnx.export(
            program.graph,
            input_names=list(program.inputs),
            output_names=list(program.outputs),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:
        raise ModelError(
            f"ONNX cannot express this model ({first_line(error)}); try `to=openvino`, or serve it in PyTorch"
        ) from error
    assert exported is not None  # noqa: S101  without a file to write to it is returned
    merge_twins(exported.model)
    return exported
