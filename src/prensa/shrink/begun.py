"""Smaller models on disk before they learn: what a stopped distillation goes on from.

Which structure is the best one follows from times, and two measurements differ. So the structure that was
taken is kept, with its weights before the first step, beside the checkpoints of its distillation.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from prensa.checkpoint.config import any_config
from prensa.checkpoint.manifest import ShrinkReport
from prensa.checkpoint.structure import structure_of
from prensa.errors import FormatError
from prensa.files.atomic import write_text
from prensa.files.kept import hidden_place
from prensa.files.records import from_plain, read_json, to_plain
from prensa.runtime.torch import load_on
from prensa.shrink.run import Shrunk, write_shrunk

_STUDENT, _RECORD = "student", "shrunk.json"


@dataclass(frozen=True)
class _Record:
    """What is known of a student beside its files; ``fingerprint`` says what it follows from."""

    fingerprint: str
    report: ShrinkReport
    config_changes: Mapping[str, object]


def lessons_path(output: Path) -> Path:
    """Return where the students of a compression lie: beside its ``output``, hidden."""
    return hidden_place(output, "distill")


def check_begun(place: Path, of: str) -> None:
    """Raise :class:`FormatError` for students in ``place`` of another fingerprint than ``of``, or damaged."""
    for path in place.glob(f"*/{_RECORD}"):
        if _read(path).fingerprint != of:
            raise FormatError(
                f"{place}: a stopped distillation of another model or recipe, or with other texts; remove it "
                "to shrink anew, or choose another output"
            )


def begin(small: Shrunk, original: Path, place: Path, of: str) -> None:
    """Write a smaller model of ``original`` into ``place``, from which :func:`begun` reads it."""
    student = place / _STUDENT
    # An earlier process may have been stopped in the middle of writing.
    shutil.rmtree(student, ignore_errors=True)
    student.mkdir(parents=True)
    write_shrunk(small, original, student)
    record = _Record(of, small.report, small.config_changes)
    # Last of all: where there is a record, there is all of it.
    write_text(place / _RECORD, json.dumps(to_plain(record)) + "\n")


def begun(place: Path, pad_id: int) -> Shrunk | None:
    """Return the smaller model that was written into ``place``; None if none was, or not all of it."""
    path = place / _RECORD
    if not path.exists():
        return None
    record = _read(path)
    student = place / _STUDENT
    model = load_on(student, torch.float32, "cpu", pad_id)
    return Shrunk(model, structure_of(any_config(student)), record.config_changes, record.report)


def _read(path: Path) -> _Record:
    try:
        return from_plain(read_json(path), _Record)
    except ValueError as error:
        raise FormatError(f"{path}: damaged ({error}); remove {path.parent} to shrink anew") from error
