"""What was measured on this machine before, kept in the user's cache: which way to serve a model is faster.

A choice holds for one processor, for the versions that are installed, and for one state of a model's files;
with any other it is measured again. What the cache holds can cost time and never changes an answer: a way
that was chosen is loaded and checked like any other one. ``rm -r ~/.cache/prensa/choices`` forgets them all.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prensa.checkpoint.effects import GRAPHS
from prensa.checkpoint.weight_files import weight_files
from prensa.errors import OutputError
from prensa.files.atomic import write_text
from prensa.files.records import from_plain, read_json, to_plain
from prensa.runtime.processor import cpu_flags, physical_cores, processor_name
from prensa.serving.cache import cache_directory
from prensa.serving.exported import FILE, is_export
from prensa.serving.facts import digest_of_settings
from prensa.version import VERSION

_PACKAGES = ("torch", "transformers", "openvino", "onnxruntime")
_DIGITS = 24

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What a file in the cache holds: all that the answer depends on, by name, and the answer."""

    question: Mapping[str, str]
    answer: str


def question(
    directory: Path, about: str, device: str, dtype: str, shapes: Sequence[tuple[int, int]]
) -> dict[str, str]:
    """Return all that a choice depends on: what it is ``about``, the model's files, the machine, the texts.

    ``shapes`` are texts and tokens of what is timed. Raises :class:`~prensa.errors.ModelError` for a
    directory without weights.
    """
    flags = " ".join(sorted(cpu_flags()))
    sizes = [f"{texts}x{tokens}" for texts, tokens in shapes]
    facts = {
        "about": about,
        "model": fingerprint(directory),
        "processor": processor_name(),
        "flags": hashlib.sha256(flags.encode()).hexdigest()[:_DIGITS],
        "cores": str(physical_cores()),
        "device": device,
        "dtype": dtype,
        "texts": " ".join(sizes),
        "prensa": VERSION,
    }
    if device.startswith("cuda"):
        import torch

        facts["accelerator"] = torch.cuda.get_device_name(device)
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            facts[package] = version(package)
    return facts


def recall(asked: Mapping[str, str], answers: Collection[str]) -> str | None:
    """Return what was chosen for a question before, if it is one of ``answers``; None if nothing is known."""
    answer = recall_any(asked)
    if answer not in answers:
        return None
    return answer


def recall_any(asked: Mapping[str, str]) -> str | None:
    """Return the answer to a question, whatever it is; None if there is none.

    What is damaged, or was written for another question, is as good as nothing.
    """
    path = _path(asked)
    if path is None:
        return None
    try:
        choice = from_plain(read_json(path), Choice)
    except ValueError as error:
        _log.debug("%s: not used (%s)", path, error)
        return None
    if dict(choice.question) != dict(asked):
        return None
    return choice.answer


def remember(asked: Mapping[str, str], answer: str) -> None:
    """Keep what was chosen for a question; where nothing can be kept it is measured again next time."""
    path = _path(asked)
    if path is None:
        return
    text = json.dumps(to_plain(Choice(asked, answer)), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text + "\n")
    except (OSError, OutputError) as error:
        _log.debug("%s: not kept (%s)", path, error)


def _path(asked: Mapping[str, str]) -> Path | None:
    place = cache_directory()
    if place is None:
        return None
    state = json.dumps(dict(asked), sort_keys=True)
    name = hashlib.sha256(state.encode()).hexdigest()[:_DIGITS]
    return place / "choices" / f"{name}.json"


def fingerprint(directory: Path) -> str:
    """Return a digest of what a model answers by: its config, its tokenizer, its files' sizes and times.

    Nothing large is read. Raises :class:`~prensa.errors.ModelError` for a directory without weights.
    """
    state = hashlib.sha256(digest_of_settings(directory).encode())
    for path in _large_files(directory):
        facts = path.stat()
        line = f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n"
        state.update(line.encode())
    return state.hexdigest()[:_DIGITS]


def _large_files(directory: Path) -> list[Path]:
    """List the weights of a model, or the files of an export's runtime, with its record."""
    if not is_export(directory):
        return [directory / name for name in weight_files(directory)[0]]
    graphs = [path for path in sorted(directory.rglob("*")) if path.suffix in GRAPHS]
    return [directory / FILE, *graphs]
