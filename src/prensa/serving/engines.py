"""The runtimes that answer with an export, by the names that records have for them, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prensa.errors import SettingError
from prensa.serving import onnxruntime_engine, openvino_engine
from prensa.serving.exported import Engine

AUTO = "auto"
"""The fastest of them that has the right answers on this machine."""

ENGINES: Mapping[str, Callable[[Path, str], Engine]] = {
    openvino_engine.NAME: openvino_engine.Engine,
    onnxruntime_engine.NAME: onnxruntime_engine.Engine,
}
"""For each runtime, what loads an export in a directory in a precision."""


def check_on_processor(runtime: str, device: str) -> None:
    """Raise :class:`SettingError` where what an export is run by is wanted on another device."""
    if device != "cpu":
        raise SettingError(f"`runtime={runtime}`: runs on the processor alone; leave `device` out")
