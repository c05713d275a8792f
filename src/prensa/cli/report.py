"""``prensa report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="results.json, or the folder it is in.")],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Page to write. [default: report.html beside it]")
    ] = None,
) -> None:
    """Make the page of an evaluation again, from results.json and the results' manifests."""
    from prensa.extras import require

    require("evaluate", "a report")
    from prensa.evaluation.results_file import load_results
    from prensa.report.html import REPORT_FILE, check_page, write_page

    evaluation = load_results(results)
    folder = results if results.is_dir() else results.parent
    page = output or folder / REPORT_FILE
    check_page(page)
    write_page(evaluation, page)
    typer.echo(f"Report: {page}")
