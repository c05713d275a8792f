"""Answer with an export in ONNX Runtime. What writes one is in :mod:`prensa.serving.onnxruntime`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.errors import FormatError, first_line
from prensa.runtime.processor import physical_cores
from prensa.serving.exported import Inputs
from prensa.serving.opened import Opened

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NAME = "onnxruntime"
FILE = "onnx/model.onnx"
"""Where transformers.js looks, and optimum-onnx, too."""

FILES = {
    "fp32": FILE,
    "fp16": "onnx/model_fp16.onnx",
    "int8": "onnx/model_quantized.onnx",
    "int4": "onnx/model_q4.onnx",
}
"""Where transformers.js looks for a model in each precision."""

# The severity from which on ONNX Runtime logs.
_ERRORS = 3


def model_file(directory: Path) -> Path:
    """Return the file of an export, which has another name where transformers.js is to find it."""
    for name in FILES.values():
        if (directory / name).is_file():
            return directory / name
    return directory / FILE


class Engine:
    """A session. May be called from several threads, and after a fork."""

    def __init__(self, directory: Path, precision: str) -> None:
        """Load what was exported."""
        self._session = Opened(lambda: _open(model_file(directory)))

    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Return all outputs for inputs ``[batch, length]``."""
        outputs = self._session.get().run(None, dict(inputs))
        return [np.asarray(output, dtype=np.float32) for output in outputs]


def _open(file: Path) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # By default it would take all cores, those that this process may not use, too.
    options.intra_op_num_threads = physical_cores()
    options.log_severity_level = _ERRORS
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FormatError(
            f"{file}: ONNX Runtime cannot load it ({first_line(error)}); export it again"
        ) from error
