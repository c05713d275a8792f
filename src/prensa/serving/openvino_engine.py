"""Answer with an export in OpenVINO. What writes one is in :mod:`prensa.serving.openvino`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.errors import FormatError, first_line
from prensa.runtime.processor import MULTIPLIES_BF16, has, physical_cores
from prensa.serving.cache import cache_directory
from prensa.serving.exported import Inputs
from prensa.serving.opened import Opened
from prensa.serving.telemetry import without_telemetry

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

NAME = "openvino"
FILE = "openvino_model.xml"

# For how many shapes of all its steps OpenVINO keeps what it has prepared; by default it is 5,000. A
# classifier of six layers needs some 2,500 for the 40 shapes that comments come in (`waiting.round_number`).
# With 1,024 one of five took 28 % more of the processor's time.
_PREPARED = 3000


class Engine:
    """A compiled model. May be called from several threads, and after a fork."""

    def __init__(self, directory: Path, precision: str) -> None:
        """Compile what was exported. What was compiled before comes from the user's cache."""

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
        "CPU_RUNTIME_CACHE_CAPACITY": _PREPARED,
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
