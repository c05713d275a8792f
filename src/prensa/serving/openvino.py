"""Export models to OpenVINO: convert, and quantize to 8 bits with NNCF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from prensa.errors import ModelError, OutputError, first_line
from prensa.runtime.processor import saturates
from prensa.serving.costs import Bits
from prensa.serving.exported import Inputs
from prensa.serving.openvino_back import readers_of_weights
from prensa.serving.openvino_engine import FILE, NAME, Engine
from prensa.serving.program import Program, quiet
from prensa.serving.quantized_share import Written, check_share, share_in_openvino
from prensa.serving.telemetry import without_telemetry

if TYPE_CHECKING:
    from openvino import Model, Node

__all__ = ["ATTENTION", "BITS", "FILE", "NAME", "PRECISIONS", "PROJECTS", "Engine", "write"]

PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "int8")
BITS: Mapping[str, Bits] = {"int8": Bits(products=8, tables=8)}
# The model's own: OpenVINO has a kernel for it.
ATTENTION: str | None = None
# Its converter does so right away, and what it gives is put in 8 bits.
PROJECTS = False

# The level from which on NNCF logs.
_ERRORS = 40


def write(
    program: Program,
    directory: Path,
    precision: str,
    samples: Sequence[Inputs],
    back: Mapping[str, int] = MappingProxyType({}),
) -> Written:
    """Convert a graph, with the linear layers in 8 bits for ``int8``, and write it.

    Layers in ``back``, by the digest of their weights, stay as they are. ``samples`` are what activations'
    ranges are measured on. Where the processor's 8-bit products saturate (x86 without VNNI) weights get 7
    bits, which cannot. Raises :class:`ModelError` where other layers were left out of 8 bits.
    """
    written = Written()
    with quiet(), without_telemetry():
        import openvino as ov

        model = _converted(program)
        if precision == "int8":
            readers = readers_of_weights(model, back)
            ignored = [*_without_weights(model), *readers]
            model = _quantized(model, samples, ignored)
            share = share_in_openvino(model)
            # Then layers stay out of 8 bits on purpose.
            if not back:
                check_share(share, "OpenVINO")
            written = Written(share, frozenset(readers.values()))
        path = directory / FILE
        try:
            ov.save_model(model, path, compress_to_fp16=precision == "bf16")
        except RuntimeError as error:
            raise OutputError(f"{path}: cannot be written ({first_line(error)})") from error
    return written


def _converted(program: Program) -> Model:
    """Turn a graph of PyTorch into one of OpenVINO, once. Returns a copy, which may be changed."""
    if NAME not in program.converted:
        program.converted[NAME] = _convert(program)
    return cast("Model", program.converted[NAME]).clone()


def _convert(program: Program) -> Model:
    """Turn a graph of PyTorch into one of OpenVINO. Raises :class:`ModelError` where that cannot be done."""
    import openvino as ov

    try:
        model = ov.convert_model(program.graph)
    except Exception as error:
        raise ModelError(
            f"OpenVINO cannot convert this model ({first_line(error)}); try `to=onnx`, or serve it in PyTorch"
        ) from error
    # Converted graphs have the names of PyTorch's nodes, and engines are called with those of the model.
    for port, name in zip(model.inputs, program.inputs, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, program.outputs, strict=True):
        port.get_tensor().set_names({name})
    return model


def _quantized(model: Model, samples: Sequence[Inputs], ignored: Sequence[str]) -> Model:
    """Quantize what has weights. Products of activations gain nothing: converting them takes as long."""
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    nncf.set_log_level(_ERRORS)
    fix = OverflowFix.ENABLE if saturates() else OverflowFix.DISABLE
    return nncf.quantize(
        model,
        nncf.Dataset([dict(sample) for sample in samples]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=list(ignored), validate=False),
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix),
    )


def _without_weights(model: Model) -> list[str]:
    """Name the products that no weight is in."""
    names = []
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        second = node.input_value(1).get_node()
        if not _is_constant(second):
            names.append(node.get_friendly_name())
    return names


def _is_constant(node: Node) -> bool:
    # What a weight goes through on its way into a product.
    while node.get_type_name() in {"Convert", "Transpose", "Reshape", "Multiply"}:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")
