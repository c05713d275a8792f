"""The fastest way to serve a model on this machine, by trying those that there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from prensa.checkpoint.roles import load_config
from prensa.errors import MissingPackageError, ModelError, PrensaError
from prensa.extras import require
from prensa.runtime.devices import DTYPES
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.serving.answering import one_by_one
from prensa.serving.distance import distance
from prensa.serving.exported import TOLERANCES
from prensa.serving.exports import export_on_the_spot, usual_precision
from prensa.serving.in_pytorch import INT8, TORCH, Dtype, check_dtype, serve_in_pytorch, some_texts
from prensa.serving.refusals import check_exported
from prensa.serving.runtimes import RUNTIMES
from prensa.serving.served import Served
from prensa.texts.encoding import Encoded

# Seconds that models are timed for in all.
_SECONDS = 1.0

_PRECISIONS: dict[Dtype, str] = {INT8: INT8, torch.float32: "fp32", torch.bfloat16: "bf16"}
"""What exports call a dtype."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """A way to serve a model: in ``runtime``, in ``precision``. ``load`` may refuse it."""

    runtime: str
    precision: str
    load: Callable[[], Served]


def serve_fastest(directory: Path, device: str, dtype: Dtype | None) -> Served:
    """Load a model in every way that ``dtype`` leaves, and keep the fastest of those that are right.

    ========== ==============================================================================
    dtype      tried
    ========== ==============================================================================
    None       PyTorch in float32, and in bfloat16 where the processor multiplies it; exports
               in bfloat16 or float32
    ``int8``   PyTorch, OpenVINO and ONNX Runtime in 8 bits; where the processor's 8-bit sums
               overflow (x86 without VNNI) PyTorch refuses, and exports have weights of 7 bits
    any other  PyTorch in that dtype, and exports in it
    ========== ==============================================================================

    A way that is refused, fails, or gives different answers from PyTorch in float32 is logged and left out.
    Where none is left, as for a model that cannot be exported, it is PyTorch in float32.
    """
    check_dtype(dtype)
    # What all others are compared with, one of the ways itself, and what is left if every other one fails.
    exact = serve_in_pytorch(directory, device, torch.float32)
    encoded, _ = some_texts(directory)
    truth = one_by_one(exact.engine, encoded, exact.record.inputs)
    allowed = TOLERANCES[INT8] if dtype == INT8 else TOLERANCES["bf16"]
    right = []
    for way in _ways(directory, exact, device, dtype):
        # One that this machine or this model cannot do is not the end: there are others.
        try:
            served = way.load()
        except PrensaError as error:
            _log.warning("%s", error)
            continue
        answers = one_by_one(served.engine, encoded, served.record.inputs)
        apart = distance(answers, truth)
        if apart > allowed:
            _log.warning(
                "%s: not served by %s in %s, which gives different answers from PyTorch in float32 "
                "(distance %.3g, allowed %g)",
                directory,
                way.runtime,
                way.precision,
                apart,
                allowed,
            )
            continue
        right.append(served)
    if not right:
        _log.warning("%s: served by PyTorch in float32, as nothing else is left here", directory)
        return exact
    return _quickest(right, encoded)


def _ways(directory: Path, exact: Served, device: str, dtype: Dtype | None) -> list[Way]:
    """List the ways to load a model that ``dtype`` leaves; ``exact`` is loaded already."""
    wanted = dtype
    if isinstance(dtype, str):
        wanted = DTYPES.get(dtype, dtype)
    ways = _ways_in_pytorch(directory, exact, device, wanted)
    if device == "cpu":
        ways += _ways_as_export(directory, wanted)
    return ways


def _ways_in_pytorch(directory: Path, exact: Served, device: str, wanted: Dtype | None) -> list[Way]:
    in_float32 = Way(TORCH, "float32", lambda: exact)
    if wanted == torch.float32:
        return [in_float32]
    if wanted is None:
        if device != "cpu" or not has(MULTIPLIES_BF16):
            return [in_float32]
        load = partial(serve_in_pytorch, directory, device, torch.bfloat16)
        return [in_float32, Way(TORCH, "bfloat16", load)]
    precision = str(wanted).removeprefix("torch.")
    load = partial(serve_in_pytorch, directory, device, wanted)
    return [Way(TORCH, precision, load)]


def _ways_as_export(directory: Path, wanted: Dtype | None) -> list[Way]:
    ways = []
    missing = []
    for name in _exportable(directory):
        precision = usual_precision(name)
        if wanted is not None:
            # A dtype that no export has, such as float16, is left to PyTorch.
            precision = _PRECISIONS.get(wanted, "")
        if precision not in RUNTIMES[name].PRECISIONS:
            continue
        try:
            require(name, f"runtime {name}")
        except MissingPackageError:
            missing.append(name)
            continue
        load = partial(export_on_the_spot, directory, name, precision)
        ways.append(Way(name, precision, load))
    if missing:
        _log.warning("not installed, so not tried: %s", ", ".join(missing))
    return ways


def _exportable(directory: Path) -> list[str]:
    """List the runtimes that a model may be exported to; none, and a line that names why, if it cannot be."""
    try:
        check_exported(directory, load_config(directory))
    except ModelError as error:
        _log.warning("%s", error)
        return []
    return sorted(RUNTIMES)


def _quickest(contenders: Sequence[Served], encoded: Encoded) -> Served:
    """Let models answer a few texts in turns, and return the one with the smallest median time.

    In turns, so that whatever else slows the machine down meanwhile slows all of them down.
    """
    if len(contenders) == 1:
        return contenders[0]
    seconds: list[list[float]] = [[] for _ in contenders]
    until = time.perf_counter() + _SECONDS
    # However slow they are, each answers once.
    while time.perf_counter() < until or not seconds[-1]:
        for served, times in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            one_by_one(served.engine, encoded, served.record.inputs)
            end = time.perf_counter()
            times.append(end - start)
    # The median: a first answer may take much longer, and so may any other.
    medians = [median(times) for times in seconds]
    smallest = min(medians)
    return contenders[medians.index(smallest)]
