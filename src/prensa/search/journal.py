"""The trials of a search, on disk after each, so that an interrupted search goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.checksum import sha256
from prensa.errors import FormatError
from prensa.files.atomic import write_text
from prensa.pressing.pipeline import Plan
from prensa.search.trial import Trial
from prensa.version import VERSION

_VERSION = 1


def journal_path(output: Path) -> Path:
    """Return where the journal of a search for ``output`` lies: beside it, hidden."""
    return output.parent / f".{output.name}.prensa-search.json"


def fingerprint(plan: Plan, calibration: CalibrationPlan, texts: Sequence[object]) -> str:
    """Return what a search depends on as one digest: weights, recipe, calibration, ``texts`` to judge by."""
    digest = hashlib.sha256(f"{VERSION} {dict(plan.checkpoint.config)}".encode())
    for file in plan.checkpoint.files:
        checksum = sha256(plan.checkpoint.path / file)
        digest.update(checksum.encode())
    digest.update(plan.recipe.to_toml().encode())
    calibrated_on = json.dumps([calibration.encoded.rows, calibration.counts.tolist()])
    digest.update(calibrated_on.encode())
    digest.update(repr(texts).encode())
    return digest.hexdigest()


class Journal:
    """Trials by their noise."""

    def __init__(self, path: Path, of: str) -> None:
        """Read what is there. Raises :class:`FormatError` where it is damaged or of another search."""
        self.path = path
        self.of = of
        self.trials: dict[float, Trial] = {}
        if path.exists():
            for trial in _read(path, of):
                self.trials[trial.noise] = trial

    def add(self, trial: Trial) -> None:
        """Remember a trial, on disk too."""
        self.trials[trial.noise] = trial
        trials = [dataclasses.asdict(kept) for kept in self.trials.values()]
        content = {"version": _VERSION, "fingerprint": self.of, "trials": trials}
        write_text(self.path, json.dumps(content, indent=1) + "\n")

    def remove(self) -> None:
        """Forget the search: it has ended."""
        self.path.unlink(missing_ok=True)


def _read(path: Path, of: str) -> list[Trial]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, fingerprint_found = content["version"], content["fingerprint"]
        trials = [_trial(fields) for fields in content["trials"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: a damaged journal ({error!r}); remove it to search anew") from error
    if (version, fingerprint_found) != (_VERSION, of):
        raise FormatError(
            f"{path}: the journal of a search with another model, recipe or other texts; "
            "remove it to search anew, or choose another output"
        )
    return trials


def _trial(fields: Mapping[str, object]) -> Trial:
    settings = dict(fields)
    interval = settings.get("agreement_interval")
    if interval is not None:
        # JSON has no tuples.
        settings["agreement_interval"] = tuple(interval)  # type: ignore[arg-type]
    return Trial(**settings)  # type: ignore[arg-type]
