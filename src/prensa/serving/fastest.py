"""The fastest way to serve a model on this machine, by trying those that there are."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch

from prensa.checkpoint.roles import load_config
from prensa.errors import MissingPackageError, ModelError, OutputError, PrensaError
from prensa.extras import require
from prensa.runtime.devices import DTYPES
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.runtime.turns import in_turns
from prensa.serving.choices import question, recall, remember
from prensa.serving.distance import Rows, distance
from prensa.serving.exported import TOLERANCES, TORCH
from prensa.serving.exports import export_on_the_spot, usual_precision
from prensa.serving.in_pytorch import INT8, Dtype, check_dtype, serve_in_pytorch, some_texts
from prensa.serving.loads import groups, shapes
from prensa.serving.precisions import precision_named
from prensa.serving.refusals import check_exported
from prensa.serving.runtimes import RUNTIMES
from prensa.serving.served import Served
from prensa.serving.ways import one_by_one, together
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded

# Seconds that models are timed for in all.
_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """A way to serve a model: in ``runtime``, in ``precision``. ``load`` may refuse it.

    ``is_checked`` says that loading compares it with PyTorch in float32, or that it is that.
    """

    runtime: str
    precision: str
    load: Callable[[], Served]
    is_checked: bool = True

    @property
    def name(self) -> str:
        """What it is called in the cache."""
        return f"{self.runtime}/{self.precision}"


class _Truth:
    """PyTorch in float32, loaded when it is needed: one of the ways, and what others are compared with."""

    def __init__(
        self, directory: Path, device: str, dtype: Dtype | None, texts: Texts | None, encoded: Encoded
    ) -> None:
        self.directory = directory
        self.device = device
        self.texts = texts
        self.encoded = encoded
        self.allowed = TOLERANCES[INT8] if dtype == INT8 else TOLERANCES["bf16"]

    @cached_property
    def served(self) -> Served:
        return serve_in_pytorch(self.directory, self.device, torch.float32, self.texts)

    @cached_property
    def answers(self) -> list[Rows]:
        return one_by_one(self.served.engine, self.encoded, self.served.record.inputs)

    def in_pytorch(self, dtype: Dtype) -> Served:
        """Load the same in another dtype."""
        return serve_in_pytorch(self.directory, self.device, dtype, self.texts)

    def is_given_by(self, way: Way, served: Served) -> bool:
        """Whether a way gives the right answers; the log says where it does not."""
        if served is self.served:
            return True
        answers = one_by_one(served.engine, self.encoded, served.record.inputs)
        apart = distance(answers, self.answers)
        if apart <= self.allowed:
            return True
        _log.warning(
            "%s: not served by %s in %s, which gives different answers from PyTorch in float32 "
            "(distance %.3g, allowed %g)",
            self.directory,
            way.runtime,
            way.precision,
            apart,
            self.allowed,
        )
        return False


def serve_fastest(directory: Path, device: str, dtype: Dtype | None, texts: Texts | None = None) -> Served:
    """Load a model in every way that ``dtype`` leaves, and keep the fastest of those that are right.

    ========== ==============================================================================
    dtype      tried
    ========== ==============================================================================
    None       PyTorch in float32, and in bfloat16 where the processor multiplies it; exports
               in bfloat16 or float32
    ``int8``   PyTorch, OpenVINO and ONNX Runtime in 8 bits, and PyTorch in float32, which they
               must beat; where the processor's 8-bit sums overflow (x86 without VNNI)
               PyTorch refuses, and exports have weights of 7 bits
    any other  PyTorch in that dtype, and exports in it
    ========== ==============================================================================

    PyTorch has the model folded or as it is, whichever is faster. They answer texts as long as ``texts`` (the
    built-in ones), alone and together. What was chosen is kept in the user's cache, and loaded straight away
    the next time; it is compared all the same.

    A way that is refused, fails, or gives different answers from PyTorch in float32 is logged and left out.
    Where none is left, as for a model that cannot be exported, it is PyTorch in float32.
    """
    check_dtype(dtype)
    # Compared on texts of all kinds, as the caller's may all have one answer; timed on the caller's.
    encoded, _ = some_texts(directory)
    timed = encoded
    if texts is not None:
        timed, _ = some_texts(directory, texts)
    wanted = dtype
    if isinstance(dtype, str):
        wanted = DTYPES.get(dtype, dtype)
    truth = _Truth(directory, device, dtype, texts, encoded)
    ways = _ways_in_pytorch(truth, wanted)
    notes: list[str] = []
    if device == "cpu":
        ways += _ways_as_export(directory, wanted, notes)
    asked = question(directory, "auto", device, str(wanted), shapes(timed.lengths))
    served = _recalled(truth, ways, recall(asked, [way.name for way in ways]))
    if served is not None:
        return served
    # What is not tried is of interest when something is.
    for note in notes:
        _log.warning("%s", note)
    return _measured(truth, ways, asked, timed)


def _recalled(truth: _Truth, ways: Sequence[Way], name: str | None) -> Served | None:
    """Load what was chosen before; None where there is nothing, or it is not right any more."""
    for way in ways:
        if way.name != name:
            continue
        try:
            served = way.load()
        except PrensaError as error:
            _log.warning("%s", error)
            return None
        # Loading an export compares it with PyTorch's answers that are stored with it.
        if way.is_checked or truth.is_given_by(way, served):
            return served
    return None


def _measured(truth: _Truth, ways: Sequence[Way], asked: dict[str, str], timed: Encoded) -> Served:
    """Load all that is right, keep what is fastest at answering ``timed``, and remember it."""
    right = []
    is_final = True
    for way in ways:
        # One that this machine or this model cannot do is not the end: there are others.
        try:
            served = way.load()
        except PrensaError as error:
            _log.warning("%s", error)
            # With room on the disk it may be the fastest one the next time.
            is_final = is_final and not isinstance(error, OutputError)
            continue
        if truth.is_given_by(way, served):
            right.append((way, served))
    if not right:
        _log.warning("%s: served by PyTorch in float32, as nothing else is left here", truth.directory)
        return truth.served
    best = _quickest([served for _, served in right], timed)
    way, served = right[best]
    _log.info("%s: served by %s in %s, the fastest here", truth.directory, way.runtime, way.precision)
    if asked["dtype"] == INT8 and way.precision != INT8:
        # Not what was asked for, so it is said.
        reason = "nothing in 8 bits is faster here" if len(right) > 1 else "nothing else is left here"
        _log.warning("%s: served by PyTorch in float32, as %s", truth.directory, reason)
    if is_final:
        remember(asked, way.name)
    return served


def _ways_in_pytorch(truth: _Truth, wanted: Dtype | None) -> list[Way]:
    in_float32 = Way(TORCH, "float32", lambda: truth.served)
    if wanted == torch.float32:
        return [in_float32]
    if wanted is None:
        if truth.device != "cpu" or not has(MULTIPLIES_BF16):
            return [in_float32]
        load = partial(truth.in_pytorch, torch.bfloat16)
        return [in_float32, Way(TORCH, "bfloat16", load, is_checked=False)]
    precision = str(wanted).removeprefix("torch.")
    # In 8 bits loading compares by itself.
    load = partial(truth.in_pytorch, wanted)
    other = Way(TORCH, precision, load, is_checked=wanted == INT8)
    if wanted == INT8:
        # 8 bits are wanted for their speed, so that they must be faster than none.
        return [in_float32, other]
    return [other]


def _ways_as_export(directory: Path, wanted: Dtype | None, notes: list[str]) -> list[Way]:
    """List the exports that ``wanted`` leaves, and append to ``notes`` why others are not tried."""
    try:
        check_exported(directory, load_config(directory))
    except ModelError as error:
        notes.append(str(error))
        return []
    ways = []
    missing = []
    for name in sorted(RUNTIMES):
        precision = usual_precision(name)
        if wanted is not None:
            # A dtype that no export has, such as float16, is left to PyTorch.
            precision = precision_named(wanted)
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
        notes.append(f"not installed, so not tried: {', '.join(missing)}")
    return ways


def _quickest(contenders: Sequence[Served], encoded: Encoded) -> int:
    """Let models answer a few texts in turns, alone and together, and return the number of the fastest."""
    if len(contenders) == 1:
        return 0
    # A sum of logarithms: each load counts by how many times as long it takes, not by its seconds.
    scores = [0.0 for _ in contenders]
    loads = groups(encoded.lengths)
    for load in loads:
        rows = [encoded.rows[index] for index in load]
        longest = max(encoded.lengths[index] for index in load)
        works = []
        for served in contenders:
            # As it pads texts when it serves.
            length = served.record.length(longest)
            inputs = together(rows, encoded, served.record.inputs, length)
            works.append(partial(served.engine, inputs))
        for number, seconds in enumerate(in_turns(works, _SECONDS / len(loads), twice=True)):
            scores[number] += math.log(seconds)
    return scores.index(min(scores))
