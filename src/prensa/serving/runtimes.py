"""The runtimes that models are exported to, one module for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from prensa.errors import SettingError
from prensa.serving import exported, onnxruntime, openvino
from prensa.serving.costs import Bits
from prensa.serving.exported import Inputs
from prensa.serving.program import Program
from prensa.serving.quantized_share import Written


class Runtime(Protocol):
    """What each runtime's module offers.

    ``ATTENTION`` is the implementation of attention that the runtime converts best, None for the model's own.
    ``PROJECTS`` says that it is to project a folded model's positions when it loads the graph. ``BITS`` are
    those of precisions whose layers may go back to more.
    """

    NAME: str
    PRECISIONS: tuple[str, ...]
    ATTENTION: str | None
    PROJECTS: bool
    BITS: Mapping[str, Bits]

    def write(
        self,
        program: Program,
        directory: Path,
        precision: str,
        samples: Sequence[Inputs],
        back: Mapping[str, int] = ...,
    ) -> Written:
        """Write the runtime's files, with layers that have more bits than the precision, by digest."""

    def Engine(self, directory: Path, precision: str) -> exported.Engine:  # noqa: N802  a class
        """Load them."""


RUNTIMES: dict[str, Runtime] = {openvino.NAME: openvino, onnxruntime.NAME: onnxruntime}

_ALIASES = {"onnx": onnxruntime.NAME}
"""Other names of a runtime: ``onnx`` is what its files are called."""


def runtime_named(name: str) -> Runtime:
    """Return a runtime by its name or an alias. Raises :class:`SettingError` for one that is not known."""
    # Records and messages have the full name alone.
    full_name = _ALIASES.get(name, name)
    if full_name not in RUNTIMES:
        expected = ", ".join([*RUNTIMES, *_ALIASES])
        raise SettingError(f"`to={name}`: expected one of {expected}")
    return RUNTIMES[full_name]
