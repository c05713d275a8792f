"""Exports that are loaded: one from a directory, or one that is made on the spot and kept in the cache."""

from __future__ import annotations

import hashlib
import logging
import shutil
from functools import partial
from pathlib import Path

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.companions import companion_files
from prensa.checkpoint.effects import DOCUMENTS, WITHOUT_EFFECT
from prensa.checkpoint.weight_files import weight_files
from prensa.errors import DifferentAnswersError, FormatError, OutputError, SettingError
from prensa.runtime.processor import MULTIPLIES_BF16, has
from prensa.serving.cache import exports_directory
from prensa.serving.export import plan_export, run_export
from prensa.serving.exported import is_export, read_record
from prensa.serving.opening import opened
from prensa.serving.precisions import PRECISIONS, precision_named
from prensa.serving.runtimes import RUNTIMES
from prensa.serving.served import Served
from prensa.sharing import building
from prensa.version import VERSION

_log = logging.getLogger(__name__)


def export_on_the_spot(directory: Path, runtime: str, precision: str) -> Served:
    """Load a model for a runtime from the cache, and export it into the cache if it is not there yet.

    Raises what :func:`run_export` and :func:`open_export` raise.
    """
    name = f"{digest(directory)}-{runtime}-{precision}"
    # What was made with a head of random numbers is found by those alone who allow one.
    if allowed().new_head:
        name += "-new-head"
    place = exports_directory() / name
    again = partial(export_on_the_spot, directory.absolute(), runtime, precision)
    # Of several threads the first one exports, and the others find what it has made.
    with building():
        if place.exists():
            try:
                return opened(place, read_record(place), again)
            except (FormatError, DifferentAnswersError) as error:
                _log.warning("%s: damaged or of another machine, made again (%s)", place, error)
                shutil.rmtree(place, ignore_errors=True)
        try:
            run_export(plan_export(directory, place, to=runtime, precision=precision))
        except OutputError as error:
            # Another process may have made it meanwhile: then the place is taken, and what is there is right.
            if not is_export(place):
                raise OutputError(f"{error}; PRENSA_CACHE names another place for it") from error
        return opened(place, read_record(place), again)


def usual_precision(runtime: str) -> str:
    """Return bfloat16 where the runtime has it and the processor multiplies it, else float32."""
    if "bf16" in RUNTIMES[runtime].PRECISIONS and has(MULTIPLIES_BF16):
        return "bf16"
    return "fp32"


def precision_in(runtime: str, dtype: object) -> str:
    """Return the precision that an export for ``runtime`` has for a dtype; the usual one for None.

    Raises :class:`SettingError` for a dtype that the runtime does not have.
    """
    if dtype is None:
        return usual_precision(runtime)
    precision = precision_named(dtype)
    known = [name for name in PRECISIONS if name in RUNTIMES[runtime].PRECISIONS]
    if precision not in known:
        found = str(dtype).removeprefix("torch.")
        raise SettingError(f"`runtime={runtime}`: runs in {', '.join(known)}, found {found}")
    return precision


def digest(directory: Path) -> str:
    """Return what a model's export depends on as a short digest: this version, weights, and what is read.

    The export has copies of the tokenizer and of Sentence Transformers' modules, so these count, too.
    """
    state = hashlib.sha256(VERSION.encode())
    for name in weight_files(directory)[0]:
        checksum = sha256(directory / name)
        state.update(checksum.encode())
    for name, path in sorted(companion_files(directory).items()):
        if path.name in WITHOUT_EFFECT or path.suffix in DOCUMENTS:
            continue
        line = f"{name} {sha256(path)}"
        state.update(line.encode())
    return state.hexdigest()[:24]
