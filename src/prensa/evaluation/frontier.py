"""What a frontier is: results of many sizes, and what each costs in quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prensa.version import VERSION

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
    """The points of a model, judged on ``texts`` texts of ``data``. ``missing`` is what was not measured.

    Where passages are ranked, ``unit`` is queries, and ``texts`` counts these.
    ``thresholds_of`` are the labels whose thresholds were chosen, for each point on one half of the texts.
    """

    model: str
    nbytes: int
    data: str
    texts: int
    calibrated_on: str
    points: tuple[Point, ...]
    missing: tuple[str, ...]
    interrupted: bool
    date: str
    unit: str = "texts"
    prensa_version: str = VERSION
    thresholds_of: tuple[str, ...] = ()
