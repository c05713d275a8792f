"""The frontier as a page: size against quality, one self-contained file, a pure function of its JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from prensa.atomic import at_home, write_text
from prensa.errors import OutputError
from prensa.extras import require
from prensa.report.charts import Chart, frontier_chart
from prensa.report.html import check_page, page
from prensa.report.tables import NONE, Table
from prensa.search.frontier import Frontier, Point
from prensa.wording import megabytes, number, percent

FRONTIER_FILE, FRONTIER_PAGE = "frontier.json", "frontier.html"


def write_frontier(frontier: Frontier, directory: Path) -> Path:
    """Write ``frontier.json`` and ``frontier.html`` into a directory that is made where it is not there.

    Returns the page's path. Raises :class:`~prensa.errors.OutputError` where they cannot be written.
    """
    require("evaluate", "a report")
    directory = at_home(directory)
    check_frontier_place(directory)
    directory.mkdir(parents=True, exist_ok=True)
    content = json.dumps(dataclasses.asdict(frontier), indent=1, ensure_ascii=False)
    write_text(directory / FRONTIER_FILE, content + "\n")
    write_text(directory / FRONTIER_PAGE, render(frontier))
    return directory / FRONTIER_PAGE


def check_frontier_place(directory: Path) -> None:
    """Raise :class:`~prensa.errors.OutputError` where a frontier could not be written."""
    directory = at_home(directory)
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"{directory}: expected a directory, found a file; choose another place")
    check_page((directory if directory.is_dir() else directory.parent) / FRONTIER_PAGE)


def render(frontier: Frontier) -> str:
    """Make the page."""
    charts: list[Chart] = [chart for chart in (frontier_chart(frontier.points),) if chart]
    return page(
        "frontier.html.jinja",
        {"frontier": frontier, "name": Path(frontier.model).name, "table": table(frontier), "charts": charts},
    )


def table(frontier: Frontier) -> Table:
    """List the points, the smallest first."""
    rows = [_row(point, frontier.nbytes) for point in sorted(frontier.points, key=lambda each: each.nbytes)]
    judged = next((point.drop_of for point in frontier.points if point.drop_of), "")
    columns = ("", "weight files", "of the original", "drop, points", "95 % interval", "same answer, %")
    note = f"The drop is that of {judged}; below zero the result is better." if judged else ""
    return Table("Size against quality", columns, tuple(rows), note)


def _row(point: Point, original: int) -> tuple[str, ...]:
    interval = NONE
    if point.interval is not None:
        low, high = (number(100 * end) for end in point.interval)
        interval = f"{low} to {high}"
    return (
        point.name,
        megabytes(point.nbytes),
        percent(point.nbytes, original),
        NONE if point.drop is None else number(100 * point.drop),
        interval,
        NONE if point.agreement is None else number(100 * point.agreement),
    )
