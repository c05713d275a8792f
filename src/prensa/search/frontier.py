"""Size against quality: calibrated results over a range of noises, and what else there is to choose from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.cluster.tasks import IN_TURN, Tasks
from prensa.errors import DeviceError, first_line
from prensa.evaluation.frontier import Frontier, Kind, Point
from prensa.evaluation.judge import Judge
from prensa.evaluation.size import list_files
from prensa.extras import is_installed
from prensa.files.temporary import temporary_directory
from prensa.ops.statistics import Statistics
from prensa.pressing import pipeline
from prensa.pressing.pipeline import Plan
from prensa.pressing.recipe import Changes, Recipe, adjusted, load_preset
from prensa.progress import Progress, silent
from prensa.search.bitsandbytes import BITSANDBYTES, write_with_bitsandbytes
from prensa.search.trying import handed_over

NOISES = (0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
_PRESETS = ("half", "int8", "classic")

OnPoint = Callable[[Point], None]
"""Called with each point as it is measured."""


def ignore_point(point: Point) -> None:
    """Do nothing with a point."""


@dataclass(frozen=True)
class _Contender:
    """A point that is not measured yet: ``write`` makes the result in a directory, from statistics."""

    name: str
    kind: Kind
    noise: float | None
    write: Callable[[Statistics, Path], object]


@dataclass(frozen=True)
class _Given:
    """What measuring takes, the same for every point."""

    statistics: Statistics
    judge: Judge
    progress: Progress


@dataclass(frozen=True)
class _NotMade:
    """Why a point is missing."""

    reason: str


def measure_frontier(
    plan: Plan,
    calibration: CalibrationPlan,
    judge: Judge,
    *,
    noises: Sequence[float] = NOISES,
    on_point: OnPoint = ignore_point,
    progress: Progress = silent,
    tasks: Tasks = IN_TURN,
) -> Frontier:
    """Compress and judge every point. ``plan`` is that of calibrated compression; its output is not written.

    Points are measured as ``tasks``. An interruption (``KeyboardInterrupt``) ends it with the points there
    are. A point that cannot be made is left out, with its reason in ``missing``. Raises :class:`DeviceError`
    where a cluster gives up before there is any point.
    """
    # An original that is no measure is refused before anything is compressed.
    judge.own_quality(range(len(judge.plan.texts)), progress)
    given = _Given(collect(calibration, progress, tasks), judge, progress)
    if tasks is not IN_TURN:
        # Progress is shown here, and texts are read once.
        everything = range(len(judge.plan.texts))
        given = _Given(given.statistics, handed_over(judge, everything, progress), silent)
    contenders = _contenders(plan, noises)
    points: list[Point] = []
    missing: list[str] = []
    interrupted = False
    if not is_installed("bitsandbytes"):
        missing.append("bitsandbytes is not installed")
    done = 0
    try:
        for contender, point in zip(contenders, tasks.map(_point, given, contenders), strict=True):
            done += 1
            if isinstance(point, _NotMade):
                missing.append(f"{contender.name} ({point.reason})")
                continue
            points.append(point)
            on_point(point)
    except KeyboardInterrupt:
        missing += [left.name for left in contenders[done:]]
        interrupted = True
    except DeviceError as error:
        # The cluster has given up. What was measured before stands.
        if not points:
            raise
        missing += [f"{left.name} ({first_line(error)})" for left in contenders[done:]]
    judged = judge.plan
    queries = judged.texts.queries
    return Frontier(
        model=str(plan.before.path),
        nbytes=plan.before.nbytes,
        data=judged.texts.name,
        texts=len(judged.texts) if queries is None else len(queries.numbers),
        calibrated_on=calibration.source,
        points=tuple(points),
        missing=tuple(missing),
        interrupted=interrupted,
        date=dt.datetime.now(dt.timezone.utc).date().isoformat(),
        unit="texts" if queries is None else "queries",
        thresholds_of=tuple(judged.task.labels[label] for label in judged.terms.to_choose),
    )


def _contenders(plan: Plan, noises: Sequence[float]) -> list[_Contender]:
    contenders: list[_Contender] = []
    for noise in noises:
        recipe = plan.recipe.with_noise(noise)
        write = partial(_press, plan, recipe)
        contenders.append(_Contender(f"noise {noise:g}", "calibrated", noise, write))
    for preset in _PRESETS:
        recipe = adjusted(load_preset(preset), Changes(format="packed"))
        write = partial(_press_plainly, plan, recipe)
        contenders.append(_Contender(preset, "preset", None, write))
    if is_installed("bitsandbytes"):
        for name, settings in BITSANDBYTES.items():
            quantize = partial(_quantize, plan.checkpoint.path, settings)
            contenders.append(_Contender(name, "bitsandbytes", None, quantize))
    return contenders


def _press(plan: Plan, recipe: Recipe, statistics: Statistics, output: Path) -> None:
    pipeline.run(plan.with_recipe(recipe, output), statistics=statistics)


def _press_plainly(plan: Plan, recipe: Recipe, _: Statistics, output: Path) -> None:
    pipeline.run(plan.with_recipe(recipe, output))


def _quantize(model: Path, settings: Mapping[str, object], _: Statistics, output: Path) -> None:
    write_with_bitsandbytes(model, settings, output)


def _point(given: _Given, contender: _Contender) -> Point | _NotMade:
    """Measure a point, or say why it cannot be made."""
    try:
        return _measure(contender, given)
    except Exception as error:  # noqa: BLE001  whatever a library says: the other points stand
        return _NotMade(first_line(error))


def _measure(contender: _Contender, given: _Given) -> Point:
    with temporary_directory() as place:
        output = place / "result"
        contender.write(given.statistics, output)
        nbytes = 0
        for file in list_files(output):
            if file.kind == "weights":
                nbytes += file.nbytes
        quality = given.judge.quality(output, progress=given.progress)
    drop = None
    drop_of = ""
    interval = None
    if quality.drop is not None:
        drop = quality.drop.value
        drop_of = quality.drop.of
        interval = quality.drop.interval
    agreement = None
    if quality.agreement is not None:
        agreement = quality.agreement.value
    return Point(contender.name, contender.kind, nbytes, contender.noise, drop, drop_of, interval, agreement)
