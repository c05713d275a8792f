"""Peak memory and load time of a model, in a process of its own that does nothing else.

:func:`main` is that process: it reads a :class:`Job` as JSON from stdin and writes a
:class:`~prensa.evaluation.results.Memory` as JSON to stdout.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.roles import load_config, model_class
from prensa.errors import EvaluationError
from prensa.evaluation.results import Memory
from prensa.runtime.devices import DTYPES, synchronize
from prensa.serving.load import load_to_compare
from prensa.texts.encoding import Row

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


def measure_memory(job: Job) -> Memory:
    """Start the process, wait for it, and return what it measured.

    Raises :class:`EvaluationError` where it could not do its work.
    """
    found_in = [place for place in sys.path if place]  # not where the user stands: files there are not ours
    command = [sys.executable, "-c", _CHILD, *found_in]
    with subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(json.dumps(dataclasses.asdict(job)))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        reason = (err.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise EvaluationError(f"{job.path}: memory could not be measured in a process of its own ({reason})")
    content = json.loads(out.splitlines()[-1])
    return Memory(load_seconds=tuple(content.pop("load_seconds")), **content)


def _measure(job: Job) -> Memory:
    model_class(load_config(Path(job.path)))  # imports what loading would import
    dtype = DTYPES.get(job.dtype, job.dtype)
    before, seconds = _resident(), []
    for turn in range(_LOADS):
        start = time.perf_counter()
        model = load_to_compare(Path(job.path), dtype, job.device, job.pad_id)
        synchronize(job.device)
        seconds.append(round(time.perf_counter() - start, 6))
        if turn == 0:
            batch = {k: torch.tensor([v] * job.batch_size, device=job.device) for k, v in job.row.items()}
            with torch.inference_mode():
                model(**batch)
            peak = high_water_mark()
        del model
    on_cuda = job.device.startswith("cuda")
    allocated = torch.cuda.max_memory_allocated(job.device) if on_cuda else None
    return Memory(tuple(seconds), before, peak, allocated)


def high_water_mark() -> int:
    """Return this process's peak resident memory in bytes.

    On Linux ``ru_maxrss`` would start at what the parent had when it forked, so the kernel's own mark is
    read.
    """
    return _status("VmHWM") or _largest()


def _resident() -> int:
    return _status("VmRSS") or _largest()


def _largest() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def main() -> None:
    """Do the job on stdin."""
    job = Job(**json.load(sys.stdin))
    with allowing(**job.allowed):
        measured = _measure(job)
    sys.stdout.write(json.dumps(dataclasses.asdict(measured)) + "\n")
