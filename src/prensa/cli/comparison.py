"""What ``prensa evaluate`` prints: verdicts, tables, and the texts on which the models disagree most."""

from __future__ import annotations

from prensa.cli.tables import console, new_table
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.verdict import verdict
from prensa.report.table import Table
from prensa.report.tables import computed_in, remarks, tables
from prensa.wording import printable

_SHOWN = 5
_WIDTH = 70  # characters of a text


def print_evaluation(evaluation: Evaluation) -> None:
    """Print everything but the distributions. Names and labels are made harmless, as texts are."""
    out = console()
    for table in tables(evaluation):
        print_table(table)
    for result in evaluation.results:
        _print_disagreements(evaluation, result)
    out.print(f"\nComputed on {printable(computed_in(evaluation))}.", style="dim", soft_wrap=True)
    for remark in remarks(evaluation):
        out.print(printable(remark), soft_wrap=True)
    for result in evaluation.results:
        out.print(f"\n{printable(verdict(evaluation, result))}", soft_wrap=True, style="bold")


def print_table(table: Table) -> None:
    """Print one table, its title above and its note below."""
    out = console()
    out.print(f"\n{table.title}")
    printed = new_table(*map(printable, table.columns), wrapped=True)
    for row in table.rows:
        printed.add_row(*map(printable, row))
    out.print(printed)
    if table.note:
        out.print(printable(table.note), style="dim", soft_wrap=True)


def _print_disagreements(evaluation: Evaluation, result: Model) -> None:
    if result.quality is None or not result.quality.disagreements:
        return
    out = console()
    out.print(f"\nWhere {printable(result.name)} disagrees most")
    columns = ["text", "original", "result"]
    if evaluation.data.labelled:
        columns.insert(1, "right answer")
    table = new_table(*columns, left=columns, wrapped=True)
    for text in result.quality.disagreements[:_SHOWN]:
        cells = [text.text, text.original, text.result]
        if evaluation.data.labelled:
            cells.insert(1, text.label)
        table.add_row(*(_line(cell) for cell in cells))
    out.print(table)


def _line(text: str) -> str:
    line = printable(text)
    if len(line) <= _WIDTH:
        return line
    return f"{line[: _WIDTH - 1]}…"
