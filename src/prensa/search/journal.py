"""The trials of a search, on disk after each, so that an interrupted search goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prensa.atomic import write_text
from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.checksum import sha256
from prensa.errors import FormatError
from prensa.pressing.pipeline import Plan
from prensa.search.budget import Trial
from prensa.version import VERSION

_VERSION = 1


def journal_path(output: Path) -> Path:
    """Return where the journal of a search for ``output`` lies: beside it, hidden."""
    return output.parent / f".{output.name}.prensa-search.json"


def fingerprint(plan: Plan, calibration: CalibrationPlan, texts: Sequence[object]) -> str:
    """Return what a search depends on as one digest: weights, recipe, calibration, ``texts`` to judge by."""
    digest = hashlib.sha256(f"{VERSION} {dict(plan.checkpoint.config)}".encode())
    for file in plan.checkpoint.files:
        digest.update(sha256(plan.checkpoint.path / file).encode())
    digest.update(plan.recipe.to_toml().encode())
    digest.update(json.dumps([calibration.encoded.rows, calibration.counts.tolist()]).encode())
    digest.update(repr(texts).encode())
    return digest.hexdigest()


class Journal:
    """Trials by their noise."""

    def __init__(self, path: Path, of: str) -> None:
        """Read what is there. Raises :class:`FormatError` where it is damaged or of another search."""
        self.path, self.of = path, of
        self.trials: dict[float, Trial] = {}
        if not path.exists():
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = content["version"], content["fingerprint"]
            trials = [_trial(each) for each in content["trials"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path}: a damaged journal ({error!r}); remove it to search anew") from error
        if found != (_VERSION, of):
            raise FormatError(
                f"{path}: the journal of a search with another model, recipe or other texts; "
                "remove it to search anew, or choose another output"
            )
        self.trials = {trial.noise: trial for trial in trials}

    def add(self, trial: Trial) -> None:
        """Remember a trial, on disk too."""
        self.trials[trial.noise] = trial
        content = {
            "version": _VERSION,
            "fingerprint": self.of,
            "trials": [dataclasses.asdict(each) for each in self.trials.values()],
        }
        write_text(self.path, json.dumps(content, indent=1) + "\n")

    def remove(self) -> None:
        """Forget the search: it has ended."""
        self.path.unlink(missing_ok=True)


def _trial(content: Mapping[str, Any]) -> Trial:
    interval = content.get("agreement_interval")
    return Trial(**{**content, "agreement_interval": interval and tuple(interval)})
