"""The trials of a search, on disk after each, so that an interrupted search goes on where it was."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.checksum import sha256
from prensa.errors import FormatError
from prensa.files.atomic import write_text
from prensa.files.kept import hidden_place
from prensa.files.records import from_plain, read_json, to_plain
from prensa.pressing.pipeline import Plan
from prensa.search.trial import Trial
from prensa.version import VERSION

_VERSION = 1


@dataclass(frozen=True)
class _Content:
    """What the file holds."""

    version: int
    fingerprint: str
    trials: tuple[Trial, ...]
    refused: tuple[float, ...] = ()


def journal_path(output: Path) -> Path:
    """Return where the journal of a search for ``output`` lies: beside it, hidden."""
    return hidden_place(output, "search.json")


def fingerprint(plan: Plan, calibration: CalibrationPlan, texts: Sequence[object]) -> str:
    """Return what a search depends on as one digest: weights, recipe, calibration, ``texts`` to judge by."""
    of_calibration: list[object] = [calibration.encoded.rows, calibration.counts.tolist()]
    # Sums of slices differ from one sum in their last digits.
    if calibration.slices > 1:
        of_calibration.append(calibration.slices)
    calibrated_on = json.dumps(of_calibration)
    # Usually the middle of a long array is left out.
    with np.printoptions(threshold=sys.maxsize):
        judged_by = repr(texts)
    return digest_of(plan, calibrated_on, judged_by)


def digest_of(plan: Plan, *more: str) -> str:
    """Return the model's files, the recipe and ``more`` as one digest."""
    digest = hashlib.sha256(f"{VERSION} {dict(plan.checkpoint.config)}".encode())
    for file in plan.checkpoint.files:
        checksum = sha256(plan.checkpoint.path / file)
        digest.update(checksum.encode())
    digest.update(plan.recipe.to_toml().encode())
    for text in more:
        digest.update(text.encode())
    return digest.hexdigest()


class Journal:
    """Trials by their noise, and the noises whose results were ``refused`` by the texts to check on."""

    def __init__(self, path: Path, of: str) -> None:
        """Read what is there. Raises :class:`FormatError` where it is damaged or of another search."""
        self.path = path
        self.of = of
        self.trials: dict[float, Trial] = {}
        self.refused: set[float] = set()
        if path.exists():
            content = _read(path, of)
            self.refused.update(content.refused)
            for trial in content.trials:
                self.trials[trial.noise] = trial

    def add(self, trial: Trial) -> None:
        """Remember a trial, on disk too."""
        self.trials[trial.noise] = trial
        self._write()

    def refuse(self, noise: float) -> None:
        """Remember that the result of a noise did not pass the check, on disk too."""
        self.refused.add(noise)
        self._write()

    def _write(self) -> None:
        content = _Content(_VERSION, self.of, tuple(self.trials.values()), tuple(sorted(self.refused)))
        write_text(self.path, json.dumps(to_plain(content), indent=1) + "\n")

    def remove(self) -> None:
        """Forget the search: it has ended."""
        self.path.unlink(missing_ok=True)


def _read(path: Path, of: str) -> _Content:
    try:
        content = from_plain(read_json(path), _Content)
    except ValueError as error:
        raise FormatError(f"{path}: a damaged journal ({error}); remove it to search anew") from error
    if (content.version, content.fingerprint) != (_VERSION, of):
        raise FormatError(
            f"{path}: the journal of a search with another model, recipe or other texts; "
            "remove it to search anew, or choose another output"
        )
    return content
