"""The frontier as a page: size against quality, one self-contained file, a pure function of its JSON."""

from __future__ import annotations

import json
from pathlib import Path

from prensa.errors import OutputError
from prensa.evaluation.figures import in_words
from prensa.evaluation.frontier import Frontier, Point
from prensa.evaluation.verdict import range_in_words
from prensa.extras import require
from prensa.files.atomic import at_home, write_text
from prensa.files.records import to_plain
from prensa.report.charts import frontier_chart
from prensa.report.html import check_page, page
from prensa.report.table import NONE, Table
from prensa.wording import megabytes, number, percent

FRONTIER_FILE, FRONTIER_PAGE = "frontier.json", "frontier.html"


def write_frontier(frontier: Frontier, directory: Path) -> Path:
    """Write ``frontier.json`` and ``frontier.html`` into a directory, which is made if it is missing.

    Returns the page's path. Raises :class:`~prensa.errors.OutputError` if they cannot be written.
    """
    require("evaluate", "a report")
    directory = at_home(directory)
    check_frontier_place(directory)
    directory.mkdir(parents=True, exist_ok=True)
    content = json.dumps(to_plain(frontier), indent=1, ensure_ascii=False)
    write_text(directory / FRONTIER_FILE, content + "\n")
    write_text(directory / FRONTIER_PAGE, render(frontier))
    return directory / FRONTIER_PAGE


def check_frontier_place(directory: Path) -> None:
    """Raise :class:`~prensa.errors.OutputError` if a frontier could not be written."""
    directory = at_home(directory)
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"{directory}: expected a directory, found a file; choose another place")
    # A directory that is still to be made needs one above it that can be written.
    place = directory.parent
    if directory.is_dir():
        place = directory
    check_page(place / FRONTIER_PAGE)


def render(frontier: Frontier) -> str:
    """Make the page."""
    charts = []
    chart = frontier_chart(frontier.points)
    if chart is not None:
        charts.append(chart)
    content = {
        "frontier": frontier,
        "name": Path(frontier.model).name,
        "table": table(frontier),
        "charts": charts,
    }
    return page("frontier.html.jinja", content)


def table(frontier: Frontier) -> Table:
    """List the points, the smallest first."""
    columns = ("", "weight files", "of the original", "drop, points", "95 % interval", "same answer, %")
    points = sorted(frontier.points, key=lambda point: point.nbytes)
    rows = [_row(point, frontier.nbytes) for point in points]
    # All points are judged by the same figure; those that could not be judged name none.
    judged_by = [point.drop_of for point in frontier.points if point.drop_of]
    note = ""
    if judged_by:
        note = f"The drop is that of {in_words(judged_by[0])}; below zero the result is better."
    if frontier.thresholds_of:
        labels = ", ".join(frontier.thresholds_of)
        note = (
            f"{note} Thresholds of {labels} were chosen for each model on one half of the texts; the numbers "
            "are of the other half."
        )
    return Table("Size against quality", columns, tuple(rows), note)


def _row(point: Point, original: int) -> tuple[str, ...]:
    interval = NONE
    if point.interval is not None:
        interval = range_in_words(point.interval)
    return (
        point.name,
        megabytes(point.nbytes),
        percent(point.nbytes, original),
        _hundredths(point.drop),
        interval,
        _hundredths(point.agreement),
    )


def _hundredths(share: float | None) -> str:
    if share is None:
        return NONE
    return number(100 * share)
