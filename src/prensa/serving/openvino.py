"""Run models in OpenVINO: convert, quantize to 8 bits with NNCF, compile, infer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.errors import FormatError, ModelError, OutputError, first_line
from prensa.runtime.processor import MULTIPLIES_BF16, has, physical_cores, saturates
from prensa.serving.cache import cache_directory
from prensa.serving.exported import Gate, Inputs
from prensa.serving.opened import Opened
from prensa.serving.program import Program, quiet
from prensa.serving.quantized_share import check_share, share_in_openvino
from prensa.serving.telemetry import without_telemetry

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest, Model, Node

NAME = "openvino"
FILE = "openvino_model.xml"
PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "int8")
# The model's own: OpenVINO has a kernel for it.
ATTENTION: str | None = None
# Its converter does so right away, and what it gives is put in 8 bits.
PROJECTS = False

# Texts that layers are ranked on, where some must go back.
_RANKED = 100
# The level from which on NNCF logs.
_ERRORS = 40


def write(
    program: Program, directory: Path, precision: str, samples: Sequence[Inputs], gate: Gate | None = None
) -> None:
    """Convert a graph, with the linear layers in 8 bits for ``int8``, and write it.

    Layers that cost more than the ``gate`` allows stay as they are. ``samples`` are what activations' ranges
    are measured on. Where the processor's 8-bit products saturate (x86 without VNNI) weights get 7 bits,
    which cannot. Raises :class:`ModelError` where layers were left out of 8 bits without a gate.
    """
    with quiet(), without_telemetry():
        import openvino as ov

        model = _converted(program)
        if precision == "int8":
            model = _quantized(model, samples, gate)
            # With a gate, layers stay out of 8 bits on purpose.
            if gate is None:
                check_share(share_in_openvino(model), "OpenVINO")
        path = directory / FILE
        try:
            ov.save_model(model, path, compress_to_fp16=precision == "bf16")
        except RuntimeError as error:
            raise OutputError(f"{path}: cannot be written ({first_line(error)})") from error


def _converted(program: Program) -> Model:
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


def _quantized(model: Model, samples: Sequence[Inputs], gate: Gate | None) -> Model:
    """Quantize what has weights. Products of activations gain nothing: converting them takes as long."""
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedAccuracyRestorerParameters,
        AdvancedQuantizationParameters,
        OverflowFix,
    )

    nncf.set_log_level(_ERRORS)
    fix = OverflowFix.ENABLE if saturates() else OverflowFix.DISABLE
    settings = {
        "model_type": nncf.ModelType.TRANSFORMER,
        "subset_size": len(samples),
        "ignored_scope": nncf.IgnoredScope(names=_without_weights(model), validate=False),
    }
    advanced = AdvancedQuantizationParameters(overflow_fix=fix)
    dataset = nncf.Dataset([dict(sample) for sample in samples])
    if gate is None:
        return nncf.quantize(model, dataset, advanced_parameters=advanced, **settings)
    judged = list(zip(gate.inputs, gate.right, strict=True))
    ranked = min(_RANKED, len(judged))
    return nncf.quantize_with_accuracy_control(
        model,
        dataset,
        nncf.Dataset(judged),
        _validation,
        max_drop=gate.max_drop,
        advanced_quantization_parameters=advanced,
        advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(ranking_subset_size=ranked),
        **settings,
    )


def _validation(compiled: CompiledModel, items: Iterable[tuple[Inputs, int]]) -> tuple[float, list[float]]:
    """Return the share of texts that a model answers right, and which: what NNCF ranks layers by."""
    request = compiled.create_infer_request()
    output = compiled.outputs[0]
    right = []
    for inputs, answer in items:
        logits = request.infer(dict(inputs))[output]
        right.append(float(int(logits.argmax()) == answer))
    return sum(right) / max(1, len(right)), right


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


class Engine:
    """A compiled model. May be called from several threads, and after a fork."""

    def __init__(self, directory: Path, precision: str) -> None:
        """Compile what :func:`write` wrote. What was compiled before comes from the user's cache."""

        def open_requests() -> _Requests:
            return _Requests(_compile(directory / FILE, precision))

        self._requests = Opened(open_requests)

    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Return all outputs for inputs ``[batch, length]``."""
        return self._requests.get().infer(inputs)


class _Requests:
    """The requests of a compiled model: as many as there were callers at once, each with its own buffers."""

    def __init__(self, compiled: CompiledModel) -> None:
        self._compiled = compiled
        self._free: SimpleQueue[InferRequest] = SimpleQueue()

    def infer(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Answer in a request that no one else has. One that fails is not used again."""
        try:
            request = self._free.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        results = request.infer(dict(inputs), share_inputs=True)
        # Copied before the next caller may have the request: its buffers hold the results.
        copies = [np.array(results[port], dtype=np.float32) for port in request.model_outputs]
        self._free.put(request)
        return copies


def _compile(file: Path, precision: str) -> CompiledModel:
    """Compile a model, with what the cache has of it if there is one that works."""
    with without_telemetry():
        import openvino as ov

    # Without that hint it may compute in bfloat16 where the processor multiplies it.
    exact = precision == "fp32" or not has(MULTIPLIES_BF16)
    settings: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32" if exact else "bf16",
        "INFERENCE_NUM_THREADS": physical_cores(),
    }
    core = ov.Core()
    cache = cache_directory()
    try:
        model = core.read_model(file)
        if cache is not None:
            cached = {**settings, "CACHE_DIR": str(cache / NAME)}
            # With a full disk, or something damaged in the cache, it does without.
            with suppress(RuntimeError):
                return core.compile_model(model, "CPU", cached)
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise FormatError(
            f"{file}: OpenVINO cannot load it ({first_line(error)}); export it again"
        ) from error
