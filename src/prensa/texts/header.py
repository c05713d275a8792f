"""Whether the first line of a table names its columns, or is a row already.

Names that are usual settle it, and so do names that the user gives. Without either, a first line that could
be a row is refused: a row less, or a name as a text, would be lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from prensa.errors import DataError
from prensa.texts.names import find, is_usual, split_names

_IDENTIFIER = re.compile(r"[^\W\d][\w.\-/:]*")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SENTENCE = re.compile(r".*\s.*[.!?…。！？]|.{60,}|(\S+\s+){4,}\S+", re.DOTALL)
# Different values of a column that may be labels.
_LABELS = 20

Cells = Sequence[Sequence[str]]
"""Rows of cells; a row may be shorter than the first."""


def refuse_doubtful_header(name: str, cells: Cells, asked: Sequence[str], advice: str = "") -> None:
    """Raise :class:`DataError` if the first of ``cells`` may be a row, saying why and what settles it."""
    reason = _doubt(cells[0], cells[1:], asked)
    if reason:
        raise DataError(
            f"{name}: the first line may be a row, not a header: {reason}; {advice}{_how_to_settle(cells)}"
        )


def numbered(first: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether ``asked`` gives columns by number, and the first line is no usual header: then it is a row."""
    numbers: list[str] = []
    for option in asked:
        numbers.extend(split_names(option))
    if not numbers:
        return False
    width = len(first)
    for number in numbers:
        # A column that is called "1" is meant by its name.
        if find(number, first):
            return False
        if not number.isdecimal() or not 1 <= int(number) <= width:
            return False
    # A usual name in it makes it a header, unless a number says that it is none.
    has_usual_name = any(map(is_usual, first))
    has_number = any(map(_is_number, first))
    return has_number or not has_usual_name


def _doubt(first: Sequence[str], rows: Cells, asked: Sequence[str]) -> str:
    """Say why the first line may be a row, empty if it is plainly a header or ``asked`` settles it."""
    if not rows or numbered(first, asked) or _names_one(first, asked):
        return ""
    # A number above numbers is one of them, even beside a usual name: "text,0".
    reason = _doubt_of_numbers(first, rows)
    if reason or any(map(is_usual, first)):
        return reason
    if len(first) == 1:
        return _doubt_of_one(first[0], rows)
    return _doubt_of_several(first, rows)


def _doubt_of_numbers(first: Sequence[str], rows: Cells) -> str:
    for index, cell in enumerate(first):
        if _is_number(cell) and _holds_numbers(rows, index):
            return f"{cell!r} is a number like those below it"
    return ""


def _doubt_of_several(first: Sequence[str], rows: Cells) -> str:
    for index, cell in enumerate(first):
        if _SENTENCE.fullmatch(cell.strip()):
            return f"{cell!r} reads like a text"
        if cell.strip() and _comes_again(cell, rows, index):
            return f"{cell!r} is in a row below, too"
    return ""


def _how_to_settle(cells: Cells) -> str:
    """Say which options read such a table as one without a header, and as one with."""
    width = len(cells[0])
    sizes = [0] * width
    for row in cells:
        for index, cell in enumerate(row[:width]):
            sizes[index] += len(cell)
    # The column with the most letters holds the texts.
    longest = sizes.index(max(sizes))
    options = f"`text_column={longest + 1}`"
    half = len(cells) // 2
    few = min(_LABELS, max(2, half))
    for index in range(width):
        if index == longest:
            continue
        values = {row[index] for row in cells if index < len(row)}
        if len(values) <= few:
            options += f" `label_column={index + 1}`"
            break
    return (
        f"if it is a row, give columns by number ({options}) or add a line of names; if it is a header, name "
        "one of its columns (`text_column=NAME`)"
    )


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _holds_numbers(rows: Cells, index: int) -> bool:
    """Whether a column has numbers in all cells that are not empty, and there are such."""
    below: list[str] = []
    for row in rows:
        if index < len(row) and row[index]:
            below.append(row[index])
    return bool(below) and all(map(_is_number, below))


def _comes_again(cell: str, rows: Cells, index: int) -> bool:
    for row in rows:
        if index < len(row) and row[index] == cell:
            return True
    return False


def _names_one(first: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether an option names a column of the first line: as a whole, or one of its names."""
    for option in asked:
        for name in (option, *split_names(option)):
            if name and find(name, first) is not None:
                return True
    return False


def _doubt_of_one(name: str, rows: Cells) -> str:
    """Doubt the name of an only column, unless it is a single word above texts of several."""
    if _SENTENCE.fullmatch(name.strip()):
        return f"{name!r} reads like a text"
    # Above single words, a single word may be one of them: "good", "bad".
    of_words = 0
    for row in rows:
        if len(row[0].split()) > 1:
            of_words += 1
    are_texts = 2 * of_words > len(rows)
    if are_texts and _IDENTIFIER.fullmatch(name.strip()):
        return ""
    return f"{name!r} is no usual name of a column"
