"""Load a model for whichever runtime is asked for."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from prensa.checkpoint.allowed import allowed, allowing
from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.companions import SEARCH_FILE, companion_files
from prensa.checkpoint.locate import locate
from prensa.checkpoint.manifest import MANIFEST_FILE
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.weight_files import weight_files
from prensa.errors import AccelerationError, FormatError, MissingPackageError, OutputError, first_line
from prensa.extras import require
from prensa.isolation import as_usual, building
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.devices import DTYPES, load_on
from prensa.runtime.int8 import multiply_in_int8, stored_integers
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.runtime.torch import load as load_torch
from prensa.serving.answering import one_by_one
from prensa.serving.cache import exports_directory
from prensa.serving.distance import distance
from prensa.serving.export import RUNTIMES, plan_export, run_export
from prensa.serving.exported import TOLERANCES, Record, check, is_export, read_record
from prensa.serving.program import input_names, output_names
from prensa.serving.pytorch import Engine
from prensa.serving.refusals import check_exported, check_served
from prensa.serving.served import Served
from prensa.texts.columns import built_in_texts, sample
from prensa.texts.encoding import (
    Encoded,
    check_ids,
    embedding_rows,
    encode,
    largest_id,
    load_tokenizer,
    longest,
)
from prensa.version import VERSION

TORCH, AUTO = "torch", "auto"
INT8 = "int8"

_PRECISION = {INT8: INT8, torch.float32: "fp32", torch.bfloat16: "bf16"}
"""What exports call a dtype."""

_SECONDS = 1.0  # that ``auto`` measures in all
_TEXTS = 8  # that it measures with

# Files beside the weights that change no answer, and the kinds of those that may.
_WITHOUT_EFFECT = {MANIFEST_FILE, SEARCH_FILE, "results.json", "generation_config.json"}
_WITH_EFFECT = {".json", ".txt", ".model", ".spm", ".safetensors", ".bin"}

_log = logging.getLogger(__name__)


@as_usual()
def load(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    path: str | Path,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    dtype: Any = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    **settings: Any,
) -> Any:
    """Load a pressed, an original or an exported model with the head it was saved with.

    Without ``runtime`` it is a PyTorch model as ``from_pretrained`` gives it, also to train; ``dtype`` and
    ``settings`` go there. (An export comes in its own runtime.) With one it is ready to answer (see
    :class:`~prensa.serving.served.Served`), and ``transformers.pipeline`` takes it:

    ``torch``        folded, on ``device``; in bfloat16 where that is fast, unless ``dtype`` says otherwise;
                     ``"int8"`` multiplies linear layers in 8 bits where that is faster still
    ``openvino``     from ``prensa export``, or exported on the spot into the user's cache
    ``onnxruntime``  likewise
    ``auto``         the fastest of those installed that gives PyTorch's answers, measured for a second;
                     of those in 8 bits with ``dtype="int8"``, on any processor

    A model whose names or class do not fit is refused: ``allow_new_head`` takes one whose head has no
    weights, ``trust_remote_code`` runs the model's own code.

    Raises a :class:`~prensa.errors.PrensaError` where that cannot be done.
    """
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        return _load(locate(path), runtime, device, dtype, settings)


def _load(directory: Path, runtime: str | None, device: str, dtype: Any, settings: dict[str, Any]) -> Any:
    if is_export(directory):
        return _exported(directory, runtime, device, dtype)
    if runtime is None:
        where = {} if device == "cpu" else {"device_map": {"": device}}
        return load_torch(directory, **({} if dtype is None else {"dtype": dtype}), **where, **settings)
    if settings:
        raise AccelerationError(f"{', '.join(settings)}: only for a model without a runtime")
    if runtime not in {AUTO, TORCH, *RUNTIMES}:
        raise AccelerationError(
            f"runtime {runtime!r}: expected {', '.join([AUTO, TORCH, *sorted(RUNTIMES)])}"
        )
    check_served(directory, load_config(directory))
    if runtime == AUTO:
        return _fastest(directory, device, dtype)
    if runtime == TORCH:
        return _torch(directory, device, dtype)
    _check_place(runtime, device, dtype)
    return _from_cache(directory, runtime)


def load_to_compare(path: Path, dtype: torch.dtype | str, device: str, pad_id: int) -> Any:
    """Load what is evaluated: an export in its runtime, anything else in PyTorch as it is.

    Raises :class:`AccelerationError` for an export that is wanted on another device than a processor.
    """
    if not is_export(path):
        return load_on(path, dtype, device, pad_id)
    if device != "cpu":
        raise AccelerationError(f"{path}: an export runs on the processor; give --device cpu")
    return _open(path, read_record(path), partial(load, path.absolute()))


def _torch(directory: Path, device: str, dtype: Any) -> Served:
    if dtype is None:
        dtype = _fast_dtype(device)
    _check_dtype(dtype)
    encoded, limit = _some_texts(directory)
    first = torch.float32 if dtype == INT8 else DTYPES.get(dtype, dtype)
    model = load_on(directory, first, device, encoded.fill["input_ids"])
    output = _named_output(directory, model, encoded)
    difference = 0.0
    if dtype == INT8:
        difference = _put_in_int8(directory, model, device, encoded)
    else:
        accelerate_answers(model)
    record = Record(
        runtime=TORCH,
        precision=str(dtype).removeprefix("torch."),
        inputs=input_names(model, encoded.rows[0]),
        output=output,
        longest=limit,
        texts="",
        difference=difference,
        rows=(),
        answers=(),
    )
    again = partial(
        load,
        directory.absolute(),
        runtime=TORCH,
        device=device,
        dtype=dtype,
        allow_new_head=allowed().new_head,
        trust_remote_code=allowed().remote_code,
    )
    return Served(Engine(model), record, directory, again)


def _check_dtype(dtype: Any) -> None:
    if isinstance(dtype, str) and dtype not in {INT8, *DTYPES}:
        raise AccelerationError(f"dtype {dtype}: expected {', '.join([*DTYPES, INT8])}")


def _named_output(directory: Path, model: Any, encoded: Encoded) -> str:
    """Name what counts of a model's output. Raises :class:`AccelerationError` if a text is not enough."""
    row = encoded.rows[0]
    given = {name: torch.tensor([row[name]], device=model.device) for name in input_names(model, row)}
    try:
        with torch.inference_mode():
            output = model(**given)
    except Exception as error:
        raise AccelerationError(
            f"{directory}: {type(model).__name__} does not answer texts alone ({first_line(error)}); "
            "it cannot be served, load it without a runtime"
        ) from error
    return output_names(model, output)[0]


def _put_in_int8(directory: Path, model: Any, device: str, encoded: Encoded) -> float:
    """Put a model's linear layers in 8 bits, and return how far its answers are from those in float32."""
    names = input_names(model, encoded.rows[0])
    truth = one_by_one(Engine(model), encoded, names)
    integers = stored_integers(directory, model)
    accelerate_answers(model)
    multiply_in_int8(model, integers, DTYPES[_fast_dtype(device)])
    apart = distance(one_by_one(Engine(model), encoded, names), truth)
    if apart > TOLERANCES[INT8]:
        raise AccelerationError(
            f"{directory}: PyTorch in int8 gives different answers from float32 (distance {apart:.3g}, "
            f"allowed {TOLERANCES[INT8]:g}); take bfloat16 or float32, or prensa export with --texts like "
            "yours"
        )
    return apart


def _fast_dtype(device: str) -> str:
    return "bfloat16" if device != "cpu" or has(MULTIPLIES_BF16) else "float32"


def _some_texts(directory: Path) -> tuple[Encoded, int | None]:
    """Encode a few built-in texts. Raises :class:`AccelerationError` for ids that have no embedding."""
    config = load_config(directory)
    tokenizer = load_tokenizer(directory)
    limit = longest(tokenizer, config, None)
    encoded = encode(tokenizer, sample(built_in_texts(), _TEXTS), "embedding", limit)
    check_ids(directory, largest_id(encoded), embedding_rows(config), AccelerationError)
    return encoded, limit


def _exported(directory: Path, runtime: str | None, device: str, dtype: Any) -> Served:
    """Open an export, which has one runtime and one precision."""
    record = read_record(directory)
    if runtime not in {None, AUTO, record.runtime}:
        raise AccelerationError(
            f"{directory}: exported for {record.runtime}, not for {runtime}; export it again, or for PyTorch "
            "load the model it came from"
        )
    _check_place(record.runtime, device, dtype)
    return _open(directory, record, partial(load, directory.absolute()))


def _check_place(runtime: str, device: str, dtype: Any) -> None:
    if device != "cpu" or dtype is not None:
        raise AccelerationError(f"{runtime}: runs on the processor, in the precision of its export")


def _open(directory: Path, record: Record, again: Callable[[], Served]) -> Served:
    require(record.runtime, f"{directory}: exported for {record.runtime}, which")
    engine = RUNTIMES[record.runtime].Engine(directory, record.precision)
    check(record, engine, directory)
    return Served(engine, record, directory, again)


def _from_cache(directory: Path, runtime: str, precision: str | None = None) -> Served:
    if precision is None:
        has_bf16 = "bf16" in RUNTIMES[runtime].PRECISIONS and has(MULTIPLIES_BF16)
        precision = "bf16" if has_bf16 else "fp32"
    place = exports_directory() / f"{_digest(directory)}-{runtime}-{precision}"
    again = partial(_from_cache, directory.absolute(), runtime, precision)
    with building():  # of several threads the first one exports
        if place.exists():
            try:
                return _open(place, read_record(place), again)
            except (FormatError, AccelerationError) as error:
                _log.warning("%s: damaged or of another machine, made again (%s)", place, error)
                shutil.rmtree(place, ignore_errors=True)
        try:
            run_export(plan_export(directory, place, runtime=runtime, precision=precision))
        except OutputError as error:
            if not is_export(place):  # else another process made it meanwhile
                raise OutputError(f"{error}; PRENSA_CACHE names another place for it") from error
        return _open(place, read_record(place), again)


def _digest(directory: Path) -> str:
    """Return what a model's export depends on as a short digest: this version, weights, and what is read.

    The export has copies of the tokenizer and of Sentence Transformers' modules, so these count, too.
    """
    digest = hashlib.sha256(VERSION.encode())
    for name in weight_files(directory)[0]:
        digest.update(sha256(directory / name).encode())
    for name, path in sorted(companion_files(directory).items()):
        if path.name not in _WITHOUT_EFFECT and path.suffix in _WITH_EFFECT:
            digest.update(f"{name} {sha256(path)}".encode())
    return digest.hexdigest()[:24]


def _fastest(directory: Path, device: str, dtype: Any) -> Served:
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
    _check_dtype(dtype)
    exact = _torch(directory, device, torch.float32)
    encoded, _ = _some_texts(directory)
    truth = one_by_one(exact.engine, encoded, exact.record.inputs)
    allowed = TOLERANCES[INT8 if dtype == INT8 else "bf16"]
    right = []
    for way in _ways(directory, exact, device, dtype):
        try:
            served = way()
        except (AccelerationError, OutputError) as error:
            _log.warning("%s", error)
            continue
        apart = distance(one_by_one(served.engine, encoded, served.record.inputs), truth)
        if apart <= allowed:
            right.append(served)
            continue
        _log.warning(
            "%s: not served by %s in %s, which gives different answers from PyTorch in float32 "
            "(distance %.3g, allowed %g)",
            directory,
            served.record.runtime,
            served.record.precision,
            apart,
            allowed,
        )
    if not right:
        _log.warning("%s: served by PyTorch in float32, as nothing else is left here", directory)
        return exact
    return _quickest(right, encoded)


def _ways(directory: Path, exact: Served, device: str, dtype: Any) -> list[Callable[[], Served]]:
    """List the ways to load a model that ``dtype`` leaves, as functions that do it."""
    wanted = DTYPES.get(dtype, dtype)
    ways: list[Callable[[], Served]] = []
    if wanted in {None, torch.float32}:
        ways.append(lambda: exact)
    if wanted is None and device == "cpu" and has(MULTIPLIES_BF16):
        ways.append(partial(_torch, directory, device, torch.bfloat16))
    if wanted not in {None, torch.float32}:
        ways.append(partial(_torch, directory, device, dtype))
    missing = []
    for runtime in _exportable(directory) if device == "cpu" else []:
        precision = None if wanted is None else _PRECISION.get(wanted)
        if wanted is not None and precision not in RUNTIMES[runtime].PRECISIONS:
            continue
        try:
            require(runtime, f"runtime {runtime}")
        except MissingPackageError:
            missing.append(runtime)
        else:
            ways.append(partial(_from_cache, directory, runtime, precision))
    if missing:
        _log.warning("not installed, so not tried: %s", ", ".join(missing))
    return ways


def _exportable(directory: Path) -> list[str]:
    """List the runtimes that a model may be exported to; none, and a line that names why, if it cannot be."""
    try:
        check_exported(directory, load_config(directory))
    except AccelerationError as error:
        _log.warning("%s", error)
        return []
    return sorted(RUNTIMES)


def _quickest(contenders: Sequence[Served], encoded: Encoded) -> Served:
    """Let models answer a few texts in turns, and return the one with the smallest median time."""
    if len(contenders) == 1:
        return contenders[0]
    seconds: list[list[float]] = [[] for _ in contenders]
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until or not seconds[-1]:
        for served, times in zip(contenders, seconds, strict=True):
            start = time.perf_counter()
            one_by_one(served.engine, encoded, served.record.inputs)
            times.append(time.perf_counter() - start)
    medians = [median(times) for times in seconds]
    return contenders[medians.index(min(medians))]
