"""``prensa demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Directory for the example and its results.")
    ] = Path("prensa-demo"),
) -> None:
    """Press the built-in example with every preset and show sizes and predictions side by side."""
    from rich.console import Console
    from transformers.utils import logging

    from prensa.cli import tables
    from prensa.example.demo import run_demo

    logging.disable_progress_bar()
    console = Console(stderr=True)
    with console.status("") as status:
        result = run_demo(output, status.update)
    tables.print_demo(result, output)
