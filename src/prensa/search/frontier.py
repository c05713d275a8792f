"""Size against quality: calibrated results over a range of noises, and what else there is to choose from."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan
from prensa.errors import first_line
from prensa.evaluation.results import Quality
from prensa.evaluation.size import list_files
from prensa.extras import is_installed
from prensa.pressing import pipeline
from prensa.pressing.pipeline import Plan
from prensa.pressing.recipe import adjusted, load_preset
from prensa.progress import Progress, silent
from prensa.search.bitsandbytes import BITSANDBYTES, WithBitsandbytes
from prensa.search.referee import Referee
from prensa.temporary import temporary_directory
from prensa.version import VERSION

NOISES = (0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
_PRESETS = ("half", "int8", "classic")

Kind = Literal["calibrated", "preset", "bitsandbytes"]


@dataclass(frozen=True)
class Point:
    """One result. ``drop`` and ``agreement`` are shares, None where the task has no such figure."""

    name: str
    kind: Kind
    nbytes: int
    noise: float | None = None
    drop: float | None = None
    drop_of: str = ""
    interval: tuple[float, float] | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Frontier:
    """The points of a model, judged on ``texts`` texts of ``data``. ``missing`` is what was not measured."""

    model: str
    nbytes: int
    data: str
    texts: int
    calibrated_on: str
    points: tuple[Point, ...]
    missing: tuple[str, ...]
    interrupted: bool
    date: str
    prensa_version: str = VERSION


def measure_frontier(  # noqa: PLR0913  what it is made of, and whom it tells
    plan: Plan,
    calibration: CalibrationPlan,
    referee: Referee,
    *,
    noises: Sequence[float] | None = None,
    tell: Callable[[Point], None] = lambda point: None,
    progress: Progress = silent,
) -> Frontier:
    """Press and judge every point. ``plan`` is that of calibrated pressing; its output is not written.

    An interruption (``KeyboardInterrupt``) ends it with the points there are. A point that cannot be made is
    left out, with its reason in ``missing``.
    """
    referee.judge_itself(progress)  # an original that is no measure is refused before anything is pressed
    statistics = collect(calibration, progress)
    makers: dict[str, tuple[Kind, float | None, Callable[[Path], object]]] = {}
    for noise in NOISES if noises is None else noises:
        recipe = adjusted(plan.recipe, noise=noise)
        makers[f"noise {noise:g}"] = ("calibrated", noise, _Pressed(plan, recipe, statistics))
    for preset in _PRESETS:
        recipe = adjusted(load_preset(preset), format="packed")
        makers[preset] = ("preset", None, _Pressed(plan, recipe, None))
    if is_installed("bitsandbytes"):
        for name, settings in BITSANDBYTES.items():
            makers[name] = ("bitsandbytes", None, WithBitsandbytes(plan.checkpoint.path, settings))
    points: list[Point] = []
    interrupted = False
    missing: list[str] = [] if is_installed("bitsandbytes") else ["bitsandbytes is not installed"]
    for name, (kind, known_noise, make) in makers.items():
        try:
            point = _point(name, kind, make, referee, progress)
        except KeyboardInterrupt:
            missing += list(makers)[list(makers).index(name) :]
            interrupted = True
            break
        except Exception as error:  # noqa: BLE001  whatever a library says: the other points stand
            reason = first_line(error)
            missing.append(f"{name} ({reason})")
            continue
        points.append(dataclasses.replace(point, noise=known_noise))
        tell(points[-1])
    return Frontier(
        model=str(plan.checkpoint.path),
        nbytes=plan.checkpoint.nbytes,
        data=referee.plan.texts.name,
        texts=len(referee.parts["check"]),
        calibrated_on=calibration.source,
        points=tuple(points),
        missing=tuple(missing),
        interrupted=interrupted,
        date=dt.datetime.now(dt.timezone.utc).date().isoformat(),
    )


def _point(
    name: str, kind: Kind, make: Callable[[Path], object], referee: Referee, progress: Progress
) -> Point:
    with temporary_directory() as place:
        output = place / "result"
        make(output)
        nbytes = sum(file.nbytes for file in list_files(output) if file.kind == "weights")
        quality: Quality = referee.judge(output, "check", progress)
    drop = quality.drop
    return Point(
        name,
        kind,
        nbytes,
        drop=drop.value if drop else None,
        drop_of=drop.of if drop else "",
        interval=drop.interval if drop else None,
        agreement=quality.agreement.value if quality.agreement else None,
    )


@dataclass(frozen=True)
class _Pressed:
    plan: Plan
    recipe: Any
    statistics: Any

    def __call__(self, output: Path) -> object:
        planned = pipeline.plan(
            self.plan.checkpoint.path, self.recipe, output, vocabulary=self.plan.vocabulary
        )
        return pipeline.run(planned, statistics=self.statistics)
