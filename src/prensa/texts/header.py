"""Whether the first line of a table names its columns, or is a row already.

Names that are usual settle it, and so do names that the user gives. Where there are neither, a first line
that could be a row is refused: a row less, or a name as a text, would be lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from prensa.texts.names import find, is_usual, split_names

_IDENTIFIER = re.compile(r"[^\W\d][\w.\-/:]*")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SENTENCE = re.compile(r".*\s.*[.!?…。！？]|.{60,}|(\S+\s+){4,}\S+", re.DOTALL)
_LABELS = 20  # different values of a column that may be labels


def doubt(first: Sequence[str], rows: Sequence[Sequence[str]], asked: Sequence[str] = ()) -> str:
    """Say why the first line may be a row, empty where it is plainly a header or ``asked`` settles it."""
    if not rows or numbered(first, asked) or _names_one(first, asked):
        return ""
    for index, cell in enumerate(first):
        if not _is_number(cell):
            continue
        below = [row[index] for row in rows if index < len(row) and row[index]]
        if below and all(map(_is_number, below)):
            return f"{cell!r} is a number like those below it"
    if any(map(is_usual, first)):
        return ""
    for index, cell in enumerate(first):
        if _SENTENCE.fullmatch(cell.strip()):
            return f"{cell!r} reads like a text"
        if cell.strip() and len(first) > 1 and any(index < len(row) and row[index] == cell for row in rows):
            return f"{cell!r} is in a row below, too"
    return _doubt_of_one(first[0], [row[0] for row in rows]) if len(first) == 1 else ""


def numbered(first: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether ``asked`` gives columns by number, and the first line is no usual header: then it is a row."""
    numbers = [name for option in asked for name in split_names(option)]
    if not numbers or any(find(number, first) for number in numbers):
        return False
    in_range = all(number.isdecimal() and 1 <= int(number) <= len(first) for number in numbers)
    is_header = any(map(is_usual, first)) and not any(map(_is_number, first))
    return in_range and not is_header


def how_to_settle(cells: Sequence[Sequence[str]]) -> str:
    """Say which options read such a table as one without a header, and as one with."""
    longest = max(range(len(cells[0])), key=lambda i: sum(len(row[i]) for row in cells if i < len(row)))
    options = f"--text-column {longest + 1}"
    for index in range(len(cells[0])):
        values = {row[index] for row in cells if index < len(row)}
        if index != longest and len(values) <= min(_LABELS, max(2, len(cells) // 2)):
            options += f" --label-column {index + 1}"
            break
    return (
        f"if it is a row, give columns by number ({options}) or add a line of names; if it is a header, name "
        "one of its columns (--text-column NAME)"
    )


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _names_one(first: Sequence[str], asked: Sequence[str]) -> bool:
    wanted = [name for option in asked for name in (option, *split_names(option))]
    return any(find(name, first) is not None for name in wanted if name)


def _doubt_of_one(name: str, below: Sequence[str]) -> str:
    """Doubt the name of an only column, unless it is a single word above texts of several."""
    of_words = sum(len(cell.split()) > 1 for cell in below)
    if _IDENTIFIER.fullmatch(name.strip()) and 2 * of_words > len(below):
        return ""
    return f"{name!r} is no usual name of a column"
