"""Load a model for whichever runtime is asked for."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.companions import companion_files
from prensa.checkpoint.locate import locate
from prensa.checkpoint.reader import weight_files
from prensa.errors import AccelerationError, FormatError, MissingPackageError, OutputError
from prensa.exporter import RUNTIMES, plan_export, run_export
from prensa.extras import require
from prensa.isolation import as_usual, building
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.cache import exports_directory
from prensa.runtime.devices import DTYPES, load_on
from prensa.runtime.exported import (
    TOLERANCES,
    Record,
    answer,
    arrays,
    check,
    distance,
    is_export,
    read_record,
)
from prensa.runtime.int8 import multiply_in_int8, stored_integers
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.runtime.program import input_names, output_name
from prensa.runtime.served import Served
from prensa.runtime.torch import Engine
from prensa.runtime.torch import load as load_torch
from prensa.texts.columns import built_in_texts, sample
from prensa.texts.encoding import Encoded, encode, load_tokenizer, longest
from prensa.version import VERSION

TORCH, AUTO = "torch", "auto"
INT8 = "int8"

_SECONDS = 1.0  # that ``auto`` measures in all
_TEXTS = 8  # that it measures with

_log = logging.getLogger(__name__)


@as_usual()
def load(
    path: str | Path, *, runtime: str | None = None, device: str = "cpu", dtype: Any = None, **settings: Any
) -> Any:
    """Load a pressed, an original or an exported model with the head it was saved with.

    Without ``runtime`` it is a PyTorch model as ``from_pretrained`` gives it, also to train; ``dtype`` and
    ``settings`` go there. (An export comes in its own runtime.) With one it is ready to answer (see
    :class:`~prensa.runtime.served.Served`), and ``transformers.pipeline`` takes it:

    ``torch``        folded, on ``device``; in bfloat16 where that is fast, unless ``dtype`` says otherwise;
                     ``"int8"`` multiplies linear layers in 8 bits where that is faster still
    ``openvino``     from ``prensa export``, or exported on the spot into the user's cache
    ``onnxruntime``  likewise
    ``auto``         the fastest of those installed that gives PyTorch's answers, measured for a second

    Raises a :class:`~prensa.errors.PrensaError` where that cannot be done.
    """
    directory = locate(path)
    if is_export(directory):
        return _exported(directory, runtime, device, dtype)
    if runtime is None:
        where = {} if device == "cpu" else {"device_map": {"": device}}
        return load_torch(directory, **({} if dtype is None else {"dtype": dtype}), **where, **settings)
    if settings:
        raise AccelerationError(f"{', '.join(settings)}: only for a model without a runtime")
    if runtime == AUTO:
        return _fastest(directory, device, dtype)
    if runtime == TORCH:
        return _torch(directory, device, dtype)
    if runtime not in RUNTIMES:
        raise AccelerationError(
            f"runtime {runtime!r}: expected {', '.join([AUTO, TORCH, *sorted(RUNTIMES)])}"
        )
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
    if isinstance(dtype, str) and dtype not in {INT8, *DTYPES}:
        raise AccelerationError(f"dtype {dtype}: expected {', '.join([*DTYPES, INT8])}")
    if dtype == INT8:
        model, difference = _in_int8(directory, device)
    else:
        model = load_torch(directory, dtype=DTYPES.get(dtype, dtype)).to(device).eval()
        difference = 0.0
        accelerate_answers(model)
    encoded, limit = _some_texts(directory, model.config)
    row = encoded.rows[0]
    with torch.inference_mode():
        output = model(**{name: torch.tensor([row[name]], device=device) for name in row})
    record = Record(
        runtime=TORCH,
        precision=str(dtype).removeprefix("torch."),
        inputs=input_names(model, row),
        output=output_name(model, output),
        longest=limit,
        texts="",
        difference=difference,
        rows=(),
        answers=(),
    )
    again = partial(load, directory.absolute(), runtime=TORCH, device=device, dtype=dtype)
    return Served(Engine(model), record, directory, again)


def _in_int8(directory: Path, device: str) -> tuple[Any, float]:
    """Load a model with linear layers in 8 bits, and say how far its answers are from those in float32."""
    model = load_torch(directory, dtype=torch.float32).to(device).eval()
    encoded, _ = _some_texts(directory, model.config)
    names = input_names(model, encoded.rows[0])
    inputs = [arrays(row, names) for row in encoded.rows]
    truth = [answer(Engine(model)(each)[0]) for each in inputs]
    integers = stored_integers(directory, model)
    accelerate_answers(model)
    multiply_in_int8(model, integers, DTYPES[_fast_dtype(device)])
    apart = distance([answer(Engine(model)(each)[0]) for each in inputs], truth)
    if apart > TOLERANCES[INT8]:
        raise AccelerationError(
            f"{directory}: PyTorch in int8 answers otherwise than in float32 (distance {apart:.3g}, allowed "
            f"{TOLERANCES[INT8]:g}); take bfloat16 or float32, or prensa export with --texts like yours"
        )
    return model, apart


def _fast_dtype(device: str) -> str:
    return "bfloat16" if device != "cpu" or has(MULTIPLIES_BF16) else "float32"


def _some_texts(directory: Path, config: Any) -> tuple[Encoded, int | None]:
    tokenizer = load_tokenizer(directory)
    limit = longest(tokenizer, config, None)
    return encode(tokenizer, sample(built_in_texts(), _TEXTS), "embedding", limit), limit


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


def _from_cache(directory: Path, runtime: str) -> Served:
    precision = "bf16" if "bf16" in RUNTIMES[runtime].PRECISIONS and has(MULTIPLIES_BF16) else "fp32"
    place = exports_directory() / f"{_digest(directory)}-{runtime}-{precision}"
    again = partial(load, directory.absolute(), runtime=runtime)
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
    """Return what a model's export depends on as a short digest: all its files, and this version."""
    digest = hashlib.sha256(VERSION.encode())
    weights = (directory / name for name in weight_files(directory)[0])
    for path in [*weights, *companion_files(directory)]:
        digest.update(f"{path.relative_to(directory)} {sha256(path)}".encode())
    return digest.hexdigest()[:24]


def _fastest(directory: Path, device: str, dtype: Any) -> Served:
    """Load the model in every runtime there is and keep the fastest that answers as PyTorch does."""
    exact = _torch(directory, device, torch.float32)
    encoded, _ = _some_texts(directory, exact.config)
    inputs = [arrays(row, exact.record.inputs) for row in encoded.rows]
    truth = [answer(exact.engine(each)[0]) for each in inputs]
    candidates = [exact]
    if dtype is None and device == "cpu" and has(MULTIPLIES_BF16):
        candidates.append(_torch(directory, device, torch.bfloat16))
    missing = []
    for runtime in sorted(RUNTIMES) if device == "cpu" else []:
        try:
            candidates.append(_from_cache(directory, runtime))
        except MissingPackageError:
            missing.append(runtime)
        except (AccelerationError, OutputError) as error:
            _log.warning("%s", error)
    if missing:
        _log.warning("not installed, so not tried: %s", ", ".join(missing))
    good = [
        each
        for each in candidates
        if distance([answer(each.engine(one)[0]) for one in inputs], truth) <= TOLERANCES["bf16"]
    ]
    seconds: list[list[float]] = [[] for _ in good]
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until or not seconds[0]:
        for each, times in zip(good, seconds, strict=True):
            start = time.perf_counter()
            for one in inputs:
                each.engine(one)
            times.append(time.perf_counter() - start)
    return min(zip(seconds, good, strict=True), key=lambda pair: median(pair[0]))[1]
