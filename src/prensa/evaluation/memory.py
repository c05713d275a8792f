"""Peak memory and load time of a model, in a separate process that does nothing else.

:func:`main` is that process: it reads a :class:`Job` as JSON from stdin and writes a
:class:`~prensa.evaluation.results.Memory` as JSON to stdout.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.task import judged_task_of
from prensa.errors import ModelError
from prensa.evaluation.generation import write_some
from prensa.evaluation.results import Memory
from prensa.files.records import from_plain, to_plain
from prensa.runtime.devices import DTYPES, synchronize
from prensa.serving.load import load_to_compare
from prensa.texts.encoding import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prensa.serving.served import Served

_LOADS = 3
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from prensa.evaluation.memory import main; main()"


@dataclass(frozen=True)
class Job:
    """What the process does: load the model and let it answer ``batch_size`` copies of one text.

    ``allowed`` is what :func:`~prensa.checkpoint.allowed.allowing` takes.
    """

    path: str
    dtype: str
    device: str
    row: Row
    batch_size: int
    pad_id: int
    allowed: dict[str, bool] = field(default_factory=dict)


def memory_of(job: Job) -> Memory:
    """Start the process, wait for it, and return what it measured.

    Raises :class:`ModelError` if it could not do its work.
    """
    # Not where the user stands, which is an empty place in the path: files there are not ours.
    places = [place for place in sys.path if place]
    command = [sys.executable, "-c", _CHILD, *places]
    # The command is our own module.
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(json.dumps(to_plain(job)))
        except BaseException:
            # An interrupted evaluation must not leave a process that goes on loading models.
            process.kill()
            raise
    if process.returncode:
        # The last line of a traceback is the error itself.
        lines = err.strip().splitlines() or [f"exit code {process.returncode}"]
        raise ModelError(f"{job.path}: memory could not be measured in a separate process ({lines[-1]})")
    # Libraries may have printed something before it.
    measured = json.loads(out.splitlines()[-1])
    return from_plain(measured, Memory)


def _measure(job: Job) -> Memory:
    path = Path(job.path)
    dtype = DTYPES.get(job.dtype, job.dtype)
    # Imports what loading would import, so that the first load is timed like the others.
    model_class(load_config(path))
    before = _resident()
    seconds = []
    for turn in range(_LOADS):
        start = time.perf_counter()
        model = load_to_compare(path, dtype, job.device, job.pad_id)
        synchronize(job.device)
        seconds.append(round(time.perf_counter() - start, 6))
        # After the first one alone: what later loads take on top depends on how memory was given back.
        if turn == 0:
            _answer(model, job)
            peak = high_water_mark()
        del model
    allocated = None
    if job.device.startswith("cuda"):
        allocated = torch.cuda.max_memory_allocated(job.device)
    return Memory(tuple(seconds), before, peak, allocated)


def _answer(model: PreTrainedModel | Served, job: Job) -> None:
    """Let a model answer, or write as many tokens as are timed."""
    batch = _batch(job)
    task = judged_task_of(model.config)
    with torch.inference_mode():
        if task is not None and task.kind == "writing":
            write_some(model, batch)
        else:
            model(**batch)


def _batch(job: Job) -> dict[str, torch.Tensor]:
    """Make copies of the text ``[batch_size, length]``, by the names of the model's inputs."""
    batch = {}
    for name, ids in job.row.items():
        batch[name] = torch.tensor([ids] * job.batch_size, device=job.device)
    return batch


def high_water_mark() -> int:
    """Return this process's peak resident memory in bytes.

    On Linux ``ru_maxrss`` would start at what the parent had when it forked, so the kernel's own mark is
    read.
    """
    return _status("VmHWM") or _largest()


def _resident() -> int:
    return _status("VmRSS") or _largest()


def _largest() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux KiB.
    if sys.platform == "darwin":
        return peak
    return 1024 * peak


def _status(field: str) -> int:
    """Read a line of the kernel's account of this process, ``VmHWM:  123456 kB``, as bytes; 0 if missing."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            kib = line.split()[1]
            return 1024 * int(kib)
    return 0


def main() -> None:
    """Do the job on stdin."""
    job = from_plain(json.load(sys.stdin), Job)
    with allowing(**job.allowed):
        measured = _measure(job)
    sys.stdout.write(json.dumps(to_plain(measured)) + "\n")
