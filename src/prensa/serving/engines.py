"""The runtimes that answer with an export, by the names that records have for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prensa.serving import onnxruntime_engine, openvino_engine
from prensa.serving.exported import Engine

TORCH = "torch"
"""The runtime that needs no export."""

ENGINES: Mapping[str, Callable[[Path, str], Engine]] = {
    openvino_engine.NAME: openvino_engine.Engine,
    onnxruntime_engine.NAME: onnxruntime_engine.Engine,
}
"""For each runtime, what loads an export in a directory in a precision."""
