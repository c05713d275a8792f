"""What ``prensa evaluate`` prints: verdicts, tables, and the texts on which the models disagree most."""

from __future__ import annotations

from prensa.cli.tables import console, new_table
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.verdict import verdict
from prensa.report.tables import Table, computed_in, remarks, tables
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
    listed = result.quality.disagreements[:_SHOWN] if result.quality else ()
    if not listed:
        return
    out = console()
    out.print(f"\nWhere {printable(result.name)} disagrees most")
    labelled = ["right answer"] if evaluation.data.labelled else []
    columns = ["text", *labelled, "original", "result"]
    table = new_table(*columns, left=columns, wrapped=True)
    for each in listed:
        right = [_line(each.label)] if labelled else []
        table.add_row(_line(each.text), *right, _line(each.original), _line(each.result))
    out.print(table)


def _line(text: str) -> str:
    line = printable(text)
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
