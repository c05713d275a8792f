"""Size against quality: calibrated results over a range of noises, and what else there is to choose from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.errors import first_line
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

NOISES = (0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
_PRESETS = ("half", "int8", "classic")

OnPoint = Callable[[Point], None]
"""Called with each point as it is measured."""


def ignore_point(point: Point) -> None:
    """Do nothing with a point."""


@dataclass(frozen=True)
class _Contender:
    """A point that is not measured yet: ``write`` makes the result in a directory."""

    name: str
    kind: Kind
    noise: float | None
    write: Callable[[Path], object]


def measure_frontier(
    plan: Plan,
    calibration: CalibrationPlan,
    judge: Judge,
    *,
    noises: Sequence[float] = NOISES,
    on_point: OnPoint = ignore_point,
    progress: Progress = silent,
) -> Frontier:
    """Compress and judge every point. ``plan`` is that of calibrated compression; its output is not written.

    An interruption (``KeyboardInterrupt``) ends it with the points there are. A point that cannot be made is
    left out, with its reason in ``missing``.
    """
    # An original that is no measure is refused before anything is compressed.
    judge.own_quality(range(len(judge.plan.texts)), progress)
    statistics = collect(calibration, progress)
    contenders = _contenders(plan, statistics, noises)
    points: list[Point] = []
    missing: list[str] = []
    interrupted = False
    if not is_installed("bitsandbytes"):
        missing.append("bitsandbytes is not installed")
    for number, contender in enumerate(contenders):
        try:
            point = _measure(contender, judge, progress)
        except KeyboardInterrupt:
            missing += [left.name for left in contenders[number:]]
            interrupted = True
            break
        except Exception as error:  # noqa: BLE001  whatever a library says: the other points stand
            missing.append(f"{contender.name} ({first_line(error)})")
            continue
        points.append(point)
        on_point(point)
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


def _contenders(plan: Plan, statistics: Statistics, noises: Sequence[float]) -> list[_Contender]:
    contenders: list[_Contender] = []
    for noise in noises:
        recipe = plan.recipe.with_noise(noise)
        write = partial(_press, plan, recipe, statistics)
        contenders.append(_Contender(f"noise {noise:g}", "calibrated", noise, write))
    for preset in _PRESETS:
        recipe = adjusted(load_preset(preset), Changes(format="packed"))
        write = partial(_press, plan, recipe, None)
        contenders.append(_Contender(preset, "preset", None, write))
    if is_installed("bitsandbytes"):
        for name, settings in BITSANDBYTES.items():
            quantize = partial(write_with_bitsandbytes, plan.checkpoint.path, settings)
            contenders.append(_Contender(name, "bitsandbytes", None, quantize))
    return contenders


def _press(plan: Plan, recipe: Recipe, statistics: Statistics | None, output: Path) -> None:
    pipeline.run(plan.with_recipe(recipe, output), statistics=statistics)


def _measure(contender: _Contender, judge: Judge, progress: Progress) -> Point:
    with temporary_directory() as place:
        output = place / "result"
        contender.write(output)
        nbytes = 0
        for file in list_files(output):
            if file.kind == "weights":
                nbytes += file.nbytes
        quality = judge.quality(output, progress=progress)
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
