"""Files of lines: a text on each, a word and its tag on each, or fastText's labels before each text."""

from __future__ import annotations

import re
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.delimited import guess_separator
from prensa.texts.names import is_usual
from prensa.texts.table import Cell, DataTable

_TAG = re.compile(r"O|[BIESLU]-\S+")
_LABEL = "__label__"
_FASTTEXT = re.compile(rf"((?:{_LABEL}\S+\s+)+)(.*)")
_NO_SENTENCE = "-DOCSTART-"

_Sentence = list[list[str]]
"""The cells of each of its words."""


def read_lines(path: Path, text: str) -> DataTable:
    """Read a text on each line, empty ones too, or words with tags, or labels of fastText, where all agree.

    Raises :class:`DataError` for lines that are rows of a table.
    """
    lines = _split(text)
    filled = list(filter(str.strip, lines))
    labelled = [line for line in filled if line.startswith(_LABEL)]
    if filled and len(labelled) == len(filled):
        return _read_fasttext(path, filled)
    if is_by_word(filled):
        return read_words(path, text)
    _refuse_tables(path, text, filled)
    return DataTable(path.name, {"text": lines})


def is_by_word(lines: list[str]) -> bool:
    """Whether each of the lines that are not empty is as many words, the last of them a tag such as B-PER."""
    rows = list(map(str.split, lines))
    widths = set(map(len, rows))
    if len(rows) <= 1 or len(widths) != 1:
        return False
    # A word without anything behind it has no tag.
    if widths == {1}:
        return False
    tags = {row[-1] for row in rows}
    # A single tag throughout may be a word by chance.
    return len(tags) > 1 and all(map(_TAG.fullmatch, tags))


def read_words(path: Path, text: str) -> DataTable:
    """Read a word on each line with its tag behind it, and an empty line behind each sentence (CoNLL).

    What stands between word and tag becomes columns named by number. Raises :class:`DataError`, naming the
    line, where another count of cells is found.
    """
    lines = _split(text)
    # Without tabs throughout, any space separates; with them, words may hold spaces.
    separator = None
    filled = list(filter(str.strip, lines))
    with_tabs = [line for line in filled if "\t" in line]
    if len(with_tabs) == len(filled):
        separator = "\t"
    sentences: list[_Sentence] = [[]]
    width = 0
    for number, line in enumerate(lines, 1):
        cells: list[str] = []
        if line.strip():
            words = line.split(separator)
            cells = list(map(str.strip, words))
        if not cells or cells[0] == _NO_SENTENCE:
            sentences.append([])
            continue
        width = width or len(cells)
        if len(cells) != width or width == 1:
            expected = max(width, 2)
            raise DataError(
                f"{path}: line {number} has {len(cells)} cells, expected {expected}: a word, its tag "
                "behind it, and an empty line after each sentence"
            )
        sentences[-1].append(cells)
    # Two empty lines, or one at the end, begin sentences that nothing follows.
    sentences = list(filter(None, sentences))
    names = ["tokens"]
    for number in range(2, width):
        names.append(f"column {number}")
    names.append("tags")
    columns: dict[str, list[list[str]]] = {}
    for index, name in enumerate(names):
        columns[name] = _column_of(sentences, index)
    return DataTable(path.name, columns, notes=("a word on each line",), by_word=True)


def _column_of(sentences: list[_Sentence], index: int) -> list[list[str]]:
    """Return a cell of each word, by sentence."""
    column: list[list[str]] = []
    for sentence in sentences:
        column.append([cells[index] for cells in sentence])
    return column


def _read_fasttext(path: Path, lines: list[str]) -> DataTable:
    labels: list[list[str]] = []
    texts: list[str | None] = []
    for number, line in enumerate(lines, 1):
        match = _FASTTEXT.fullmatch(line)
        if match is None:
            raise DataError(f"{path}: line {number}: expected a text behind the labels")
        names: list[str] = []
        for name in match[1].split():
            names.append(name.removeprefix(_LABEL))
        labels.append(names)
        texts.append(match[2] or None)
    column: list[Cell] = list(labels)
    # Where each text has one, it is that of a classifier, and no list.
    most = max(map(len, labels))
    if most == 1:
        column = [names[0] for names in labels]
    return DataTable(path.name, {"text": texts, "label": column}, notes=("labels of fastText",))


def _refuse_tables(path: Path, text: str, filled: list[str]) -> None:
    """Refuse lines that are rows: their labels would be read as words of the texts."""
    if not filled:
        return
    separator = guess_separator(text, "\n")
    first = filled[0].split(separator)
    has_names = any(map(is_usual, first))
    has_header = has_names and separator != "\n"
    # As many tabs on each of several lines are no chance.
    tabs = {line.count("\t") for line in filled}
    is_regular = len(filled) > 1 and len(tabs) == 1
    has_tabs = is_regular and tabs != {0}
    if not has_header and not has_tabs:
        return
    ending = ".csv"
    if has_tabs or separator == "\t":
        ending = ".tsv"
    raise DataError(
        f"{path}: expected a text on each line, found a table ({filled[0][:60]!r}); name it {ending}"
    )


def _split(text: str) -> list[str]:
    """Split at line ends of every system; the last line has one, or ends the file."""
    text = text.replace("\r\n", "\n")
    text = text.replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
