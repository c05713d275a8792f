"""How far a job goes beyond this process: the workers of a cluster, and what is shared out to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prensa.calibration.plan import CalibrationPlan
from prensa.cluster.address import Workers, workers_from
from prensa.cluster.tasks import tasks_on
from prensa.errors import SettingError
from prensa.search.trying import Rounds

SLICES = 8
"""Slices of a calibration on a cluster of any size, so that its size changes no byte of the result."""


@dataclass(frozen=True)
class Scale:
    """Where a job's work is done, and in how many parts; all None for this process, as it always was."""

    on: str | None = None
    workers: int | None = None
    worker_cpus: int | None = None
    trials_at_once: int | None = None
    calibration_slices: int | None = None

    def check(self) -> Workers | None:
        """Return the workers of a cluster, None where there is none.

        Raises :class:`SettingError` for an address or numbers that cannot be, and
        :class:`~prensa.errors.MissingPackageError` without Ray.
        """
        parts = {"trials_at_once": self.trials_at_once, "calibration_slices": self.calibration_slices}
        for name, value in parts.items():
            if value is not None and value < 1:
                raise SettingError(f"`{name}` must be at least 1, found {value}")
        return workers_from(self.on, self.workers, self.worker_cpus)

    def device(self, wanted: str | None) -> str | None:
        """Return where models run: the workers of a cluster are given processors, whatever this machine has.

        Raises :class:`SettingError` where something else is wanted.
        """
        if self.on is None:
            return wanted
        if wanted not in {None, "cpu"}:
            raise SettingError(
                f"`device={wanted}`: the workers of a cluster run on processors; leave `device` or `on` out"
            )
        return "cpu"

    def check_used(self, calibration: CalibrationPlan | None, *, has_budget: bool, is_shrunk: bool) -> None:
        """Raise :class:`SettingError` for a part that a compression does not have."""
        if self.on is not None and is_shrunk:
            raise SettingError("`on`: a model that is shrunk is made here; leave `shrink` or `on` out")
        if self.trials_at_once is not None and not has_budget:
            raise SettingError(
                "`trials_at_once` needs a budget (`max_drop` …): there are no trials without one"
            )
        for name, value in {"on": self.on, "calibration_slices": self.calibration_slices}.items():
            if value is None:
                continue
            if calibration is None:
                raise SettingError(f"`{name}` needs a calibrated recipe: use `preset=small`, or leave it out")
            if calibration.streaming is not None:
                raise SettingError(
                    f"`{name}`: a model that is larger than memory is calibrated here, layer by layer; leave "
                    "it out"
                )

    def sliced(self, calibration: CalibrationPlan) -> CalibrationPlan:
        """Return a calibration in its slices, of which none is empty."""
        wanted = self.calibration_slices or (1 if self.on is None else SLICES)
        return dataclasses.replace(calibration, slices=min(wanted, len(calibration.batches)))

    @contextmanager
    def rounds(self, model: Path) -> Iterator[Rounds]:
        """Say how many trials are made at a time and by whom, while the cluster is joined.

        Raises what :func:`~prensa.cluster.tasks.tasks_on` raises.
        """
        workers = self.check()
        if workers is None:
            yield Rounds(self.trials_at_once or 1)
            return
        with tasks_on(workers, model) as tasks:
            yield Rounds(self.trials_at_once or tasks.size, tasks)
