"""The best weights of a distillation so far, and what is left on disk for a later process to go on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from prensa.distilling.plan import DistillPlan
from prensa.errors import FormatError
from prensa.files.atomic import sync, write_text
from prensa.files.records import from_plain, read_json, to_plain
from prensa.version import VERSION

_VERSION = 1
_RECORD, _WEIGHTS = "distillation.json", "best.safetensors"


@dataclass(frozen=True)
class Record:
    """How far a distillation was when its checkpoint was written. ``seconds`` are those it had taken."""

    version: int
    fingerprint: str
    step: int
    seconds: float
    loss_before: float
    loss: float
    best_step: int
    is_over: bool


class Best:
    """The weights with the smallest loss, as copies of those that are trained."""

    def __init__(self, model: nn.Module, loss: float) -> None:
        self.loss = loss
        self.step = 0
        self._weights = _trained(model)

    def offer(self, model: nn.Module, loss: float, step: int) -> None:
        """Keep a model's weights if they are better. What is no number never is."""
        if loss < self.loss:
            self.loss, self.step = loss, step
            self._weights = _trained(model)

    @torch.no_grad()
    def restore(self, model: nn.Module) -> None:
        """Give the model the best weights."""
        for name, parameter in model.named_parameters():
            if name in self._weights:
                parameter.copy_(self._weights[name])

    def write(self, folder: Path, record: Record) -> None:
        """Put the weights into a checkpoint's folder, and last of all the record, which says it is whole."""
        weights = {name: tensor.contiguous() for name, tensor in self._weights.items()}
        save_file(weights, folder / _WEIGHTS)
        # After a power cut a record must not stand beside files that were never written.
        for file in folder.iterdir():
            sync(file)
        write_text(folder / _RECORD, json.dumps(to_plain(record), indent=1) + "\n")

    def read(self, folder: Path, record: Record) -> None:
        """Take the best weights of an earlier process. Raises :class:`FormatError` for a damaged file."""
        self.loss, self.step = record.loss, record.best_step
        try:
            self._weights = load_file(folder / _WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise FormatError(
                f"{folder / _WEIGHTS}: a damaged checkpoint ({error}); remove it to distill anew"
            ) from error


def last_checkpoint(place: Path, of: str) -> tuple[Path, Record] | None:
    """Return the last whole checkpoint of a distillation in ``place``, None if there is none.

    Raises :class:`FormatError` for one that is damaged or of another distillation.
    """
    found: tuple[Path, Record] | None = None
    for path in sorted(place.glob(f"checkpoint-*/{_RECORD}")):
        record = _read(path, of)
        if found is None or record.step > found[1].step:
            found = path.parent, record
    return found


def new_record(
    of: str, step: int, seconds: float, loss_before: float, best: Best, *, is_over: bool
) -> Record:
    """Return the record of a checkpoint that is being written."""
    return Record(_VERSION, of, step, seconds, loss_before, best.loss, best.step, is_over)


def fingerprint(plan: DistillPlan, student: nn.Module, pairs: Sequence[tuple[int, int]]) -> str:
    """Return what a distillation depends on as one digest: texts, settings, the student's weights."""
    settings = (
        *(plan.kind, plan.seconds, plan.steps, plan.seed),
        *(plan.learning_rate, plan.batch_tokens, plan.accumulate, tuple(pairs)),
    )
    digest = hashlib.sha256(f"{VERSION} {settings}".encode())
    digest.update(json.dumps(plan.encoded.rows).encode())
    for name, parameter in student.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, of: str) -> Record:
    try:
        record = from_plain(read_json(path), Record)
    except ValueError as error:
        raise FormatError(f"{path}: a damaged checkpoint ({error}); remove it to distill anew") from error
    if (record.version, record.fingerprint) != (_VERSION, of):
        raise FormatError(
            f"{path}: the checkpoint of a distillation with another model, other settings or texts; remove "
            "it to distill anew, or choose another output"
        )
    return record


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters that have gradients."""
    weights: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weights[name] = parameter.detach().clone()
    return weights
