"""The cells of a column of texts: strings, or lists of words."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from typing import TypeGuard

from prensa.errors import DataError
from prensa.texts.characters import has_half_character
from prensa.texts.ids import as_number
from prensa.texts.table import Cell, DataTable, is_nothing

# What numpy prints. Python would join the words of such a list into one.
_LIST_WITHOUT_COMMAS = re.compile(r"""['"]\s+['"]""")

Words = tuple[str, ...]


def strings_in(table: DataTable, column: str) -> list[str | None]:
    """Return the texts of a column, None for rows without one.

    Raises :class:`DataError`, naming the row, for a cell that is no text.
    """
    texts: list[str | None] = []
    for row, cell in enumerate(table.columns[column], 1):
        if is_nothing(cell):
            texts.append(None)
            continue
        if not isinstance(cell, str):
            raise DataError(
                f"{table.name}: row {row}, column {column!r}: expected a text, found {type(cell).__name__}"
            )
        _refuse_half_characters(table, column, row, cell)
        texts.append(cell)
    return texts


def words_in(table: DataTable, column: str) -> list[Words | None] | None:
    """Return the words of a column of lists, or of lists as JSON or Python writes them in every cell.

    None for a column of texts. Raises :class:`DataError`, naming the row, for a list of anything else.
    """
    cells = table.columns[column]
    # The first cell says what the others must be.
    first = _first_cell(cells)
    if isinstance(first, str):
        lists = _written_lists(cells)
        if lists is None:
            return None
        cells = lists
    elif not isinstance(first, (list, tuple)):
        return None
    words: list[Words | None] = []
    for row, cell in enumerate(cells, 1):
        if is_nothing(cell):
            words.append(None)
            continue
        if not _is_list_of_words(cell):
            raise DataError(f"{table.name}: row {row}, column {column!r}: expected a list of words")
        _refuse_half_characters(table, column, row, "".join(cell))
        words.append(tuple(cell))
    return words


def _is_list_of_words(cell: Cell) -> TypeGuard[Sequence[str]]:
    if not isinstance(cell, (list, tuple)):
        return False
    return all(isinstance(word, str) for word in cell)


def refuse_numbers(table: DataTable, column: str) -> None:
    """Raise :class:`DataError` for a column of numbers that nobody named as texts: ids, or labels."""
    # A column in which nothing stands is no column of numbers.
    has_cells = False
    for cell in table.columns[column]:
        if is_nothing(cell):
            continue
        number = as_number(cell)
        if not isinstance(cell, str) or math.isnan(number):
            return
        has_cells = True
    if has_cells:
        raise DataError(
            f"{table.name}: column {column!r} holds numbers where texts were expected; {table.found}; give "
            "`text_column`"
        )


def as_list(value: Cell) -> list[object] | None:
    """Return a list that a cell is, or that it writes in JSON or as Python does; None for anything else."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return _list_in(value.strip())
    return None


def _list_in(text: str) -> list[object] | None:
    """Return the list that a text writes."""
    if not text.startswith("["):
        return None
    # Python's own lists, as pandas writes them, have single quotes, which JSON does not read.
    for read in (json.loads, ast.literal_eval):
        if read is ast.literal_eval and _LIST_WITHOUT_COMMAS.search(text):
            return None
        try:
            content = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            # Brackets that open a text are nothing unusual.
            continue
        if isinstance(content, (list, tuple)):
            return list(content)
        return None
    return None


def _first_cell(cells: Sequence[Cell]) -> Cell:
    for cell in cells:
        if not is_nothing(cell):
            return cell
    return None


def _written_lists(cells: Sequence[Cell]) -> list[Cell] | None:
    """Return the lists that all cells write, None if one of them writes none: then they are texts."""
    lists: list[Cell] = []
    for cell in cells:
        if is_nothing(cell):
            lists.append(None)
            continue
        written = as_list(cell)
        if written is None:
            return None
        lists.append(written)
    return lists


def _refuse_half_characters(table: DataTable, column: str, row: int, text: str) -> None:
    if has_half_character(text):
        raise DataError(f"{table.name}: row {row}, column {column!r} holds half of a surrogate pair")
