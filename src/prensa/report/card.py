"""An evaluation as a part of a result's model card: verdict and tables, and never a text of the user's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from prensa.checkpoint.card import set_evaluation
from prensa.errors import OutputError
from prensa.evaluation.results import Evaluation, Model
from prensa.evaluation.verdict import verdict
from prensa.report.table import Table
from prensa.report.tables import computed_in, remarks, tables
from prensa.wording import as_markdown


def write_cards(evaluation: Evaluation) -> list[str]:
    """Put the numbers into each result's card, if Prensa made it. Return why some were not written.

    An interrupted evaluation leaves cards alone. A smoke test only replaces another smoke test.
    """
    if evaluation.missing:
        return []
    problems = []
    for result in evaluation.results:
        text = card_text(evaluation, result)
        try:
            set_evaluation(Path(result.path), text, is_smoke_test=evaluation.data.is_smoke_test)
        except OutputError as error:
            problems.append(str(error))
    return problems


def card_text(evaluation: Evaluation, result: Model) -> str:
    """Make the Markdown for one result: verdict, remarks, tables, and where it was measured."""
    # The card goes with this result alone: the others are not where a reader finds it.
    own = [cascade for cascade in evaluation.cascades if cascade.result == result.name]
    alone = dataclasses.replace(evaluation, results=(result,), cascades=tuple(own))
    parts = [as_markdown(verdict(alone, result))]
    parts += [as_markdown(remark) for remark in remarks(alone)]
    parts += [_table(table) for table in tables(alone)]
    where = f"Measured on {evaluation.date} with Prensa {evaluation.prensa_version}: {computed_in(alone)}."
    parts.append(as_markdown(where))
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    alignment = ["---"] + ["--:"] * (len(table.columns) - 1)
    lines = [f"### {table.title}", ""]
    lines.append(_row([as_markdown(column) for column in table.columns]))
    lines.append(_row(alignment))
    for row in table.rows:
        cells = [as_markdown(cell) for cell in row]
        lines.append(_row(cells))
    if table.note:
        lines += ["", as_markdown(table.note)]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
