"""Export models to ONNX Runtime, and quantize to 8 bits. What answers is in ``onnxruntime_engine``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import ModelError, first_line
from prensa.runtime.processor import saturates
from prensa.serving.exported import Gate, Inputs
from prensa.serving.onnx_tables import shrink_tables, strip_remarks
from prensa.serving.onnxruntime_engine import FILE, NAME, QUANTIZED_FILE, Engine, model_file
from prensa.serving.program import Program, quiet
from prensa.serving.quantized_share import check_share, share_in_onnx

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

__all__ = ["ATTENTION", "FILE", "NAME", "PRECISIONS", "QUANTIZED_FILE", "Engine", "model_file", "write"]

PRECISIONS: tuple[str, ...] = ("fp32", "int8")
# PyTorch's exporter fails on the layout of the fused one in T5.
ATTENTION: str | None = "eager"


def write(
    program: Program,
    directory: Path,
    precision: str,
    samples: Sequence[Inputs],
    gate: Gate | None = None,
) -> None:
    """Export a graph, with the linear layers and tables in 8 bits for ``int8``, and write it.

    Activations are quantized as they come, so no samples are needed; which layers cost most is not looked
    for. Where the processor's 8-bit products saturate (x86 without VNNI) weights get 7 bits, which cannot.
    Raises :class:`ModelError` where layers were left out of 8 bits.
    """
    target = directory / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    # A plain temporary directory in this one: quantizing reads the graph from a file, on the same disk.
    with quiet(), tempfile.TemporaryDirectory(dir=directory) as place:
        exported = _exported(program)
        # Weights of more than 2 GB go into a file beside it.
        if precision == "fp32":
            exported.save(target)
            return
        from onnxruntime.quantization import quantize_dynamic

        source = Path(place) / "model.onnx"
        exported.save(source)
        quantize_dynamic(
            source,
            target,
            # Not the lookups: with one scale for a whole table its small rows suffer.
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=saturates(),
        )
    _shrink(target)


def _shrink(file: Path) -> None:
    """Put in 8 bits what ONNX Runtime's quantizer leaves, and check that it has left no products."""
    import onnx

    model = onnx.load(file)
    check_share(share_in_onnx(model), "ONNX Runtime")
    shrink_tables(model)
    strip_remarks(model)
    onnx.save(model, file)


def _exported(program: Program) -> ONNXProgram:
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
    return exported
