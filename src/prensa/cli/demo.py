"""``prensa demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prensa.example.demo import Demonstration


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Directory for the example and its results.")
    ] = Path("prensa-demo"),
) -> None:
    """Compress the built-in example with every preset, and compare size, answers and speed."""
    from prensa.cli.progress import stages
    from prensa.example.demo import run_demo

    with stages() as progress:
        demonstration = run_demo(output, progress)
    _print(demonstration, output)


def _print(demonstration: Demonstration, output: Path) -> None:
    from prensa.cli.tables import console, new_table

    out = console()
    out.print("A DeBERTa that flags toxic comments, compressed with every preset.\n")
    presets = new_table("preset", "weights", "share", "right answers", "same answer", "speed")
    for row in demonstration.rows():
        presets.add_row(*row)
    out.print(presets)
    out.print()
    comments = new_table("comment", "original", demonstration.smallest, left={"comment"})
    for comment in demonstration.comments:
        comments.add_row(comment.text, comment.original, comment.compressed)
    out.print(comments)
    count = demonstration.evaluation.data.measured
    out.print(
        f"\n{count} comments show that the results work; they are too few to measure accuracy with.\n"
        f"Report: {demonstration.report}\n"
        f"Compare on your own texts: prensa evaluate {output / 'original'} {output / 'int8'} --data FILE",
        soft_wrap=True,
    )
