"""Files of lines: a text on each, a word and its tag on each, or fastText's labels before each text."""

from __future__ import annotations

import re
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.delimited import guess_separator
from prensa.texts.names import is_usual
from prensa.texts.table import DataTable

_TAG = re.compile(r"O|[BIESLU]-\S+")
_FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)")
_NO_SENTENCE = "-DOCSTART-"


def read_lines(path: Path, text: str) -> DataTable:
    """Read a text on each line, empty ones too, or words with tags, or labels of fastText, where all agree.

    Raises :class:`DataError` for lines that are rows of a table.
    """
    lines = _split(text)
    filled = [line for line in lines if line.strip()]
    if filled and all(line.startswith("__label__") for line in filled):
        return _read_fasttext(path, filled)
    if is_by_word(filled):
        return read_words(path, text)
    _refuse_tables(path, text, filled)
    return DataTable(path.name, {"text": lines})


def is_by_word(lines: list[str]) -> bool:
    """Whether each of the lines that are not empty is as many words, the last of them a tag such as B-PER."""
    rows = [line.split() for line in lines]
    tags = {row[-1] for row in rows}
    is_regular = len(rows) > 1 and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    return is_regular and len(tags) > 1 and all(map(_TAG.fullmatch, tags))


def read_words(path: Path, text: str) -> DataTable:
    """Read a word on each line with its tag behind it, and an empty line behind each sentence (CoNLL).

    What stands between word and tag becomes columns named by number. Raises :class:`DataError`, naming the
    line, where another count of cells is found.
    """
    lines = _split(text)
    separator = "\t" if all("\t" in line for line in lines if line.strip()) else None
    sentences: list[list[list[str]]] = [[]]
    width = 0
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split(separator)] if line.strip() else []
        if not cells or cells[0] == _NO_SENTENCE:
            sentences.append([])
            continue
        width = width or len(cells)
        if len(cells) != width or width == 1:
            raise DataError(
                f"{path}: line {number} has {len(cells)} cells, expected {max(width, 2)}: a word, its tag "
                "behind it, and an empty line after each sentence"
            )
        sentences[-1].append(cells)
    found = [sentence for sentence in sentences if sentence]
    names = ["tokens", *(f"column {at}" for at in range(2, width)), "tags"]
    columns = {name: [[word[at] for word in each] for each in found] for at, name in enumerate(names)}
    return DataTable(path.name, columns, notes=("a word on each line",), by_word=True)


def _read_fasttext(path: Path, lines: list[str]) -> DataTable:
    labels: list[list[str]] = []
    texts: list[str | None] = []
    for number, line in enumerate(lines, 1):
        parts = _FASTTEXT.fullmatch(line)
        if parts is None:
            raise DataError(f"{path}: line {number}: expected a text behind the labels")
        labels.append([name.removeprefix("__label__") for name in parts[1].split()])
        texts.append(parts[2] or None)
    is_single = all(len(names) == 1 for names in labels)
    column = [names[0] for names in labels] if is_single else labels
    return DataTable(path.name, {"text": texts, "label": column}, notes=("labels of fastText",))


def _refuse_tables(path: Path, text: str, filled: list[str]) -> None:
    """Refuse lines that are rows: their labels would be read as words of the texts."""
    separator = guess_separator(text, "\n")
    first = filled[0].split(separator) if filled else []
    has_header = separator != "\n" and any(map(is_usual, first))
    has_tabs = len({line.count("\t") for line in filled}) == 1 and len(filled) > 1 and "\t" in filled[0]
    if has_header or has_tabs:
        raise DataError(
            f"{path}: expected a text on each line, found a table ({filled[0][:60]!r}); name it "
            f"{'.tsv' if has_tabs or separator == chr(9) else '.csv'}"
        )


def _split(text: str) -> list[str]:
    """Split at line ends of every system; the last line has one, or ends the file."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]
