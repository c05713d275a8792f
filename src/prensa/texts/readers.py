"""Read a table of texts: from a file of any usual kind, a directory, or a data set of the hub."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import DataError, SettingError, first_line
from prensa.extras import require
from prensa.texts.arrow_cells import cells_of
from prensa.texts.characters import decode
from prensa.texts.compressed import SUFFIXES, decompress
from prensa.texts.delimited import guess_separator, read_delimited
from prensa.texts.header import refuse_doubtful_header
from prensa.texts.lines import read_lines, read_words
from prensa.texts.records import read_json
from prensa.texts.source import JUDGED
from prensa.texts.table import Cell, DataTable

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_PARQUET = ".parquet"
_SHEET = "export the sheet as CSV (UTF-8)"
_ADVICE = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), f"a spreadsheet; {_SHEET}"),
    **dict.fromkeys((".pkl", ".pickle"), "a pickle can run code; save the table as CSV or Parquet"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "an archive; unpack it first"),
    **dict.fromkeys((".arrow", ".feather"), "give the data set's directory, or save it as Parquet"),
    **dict.fromkeys((".xml", ".html", ".md", ".pdf", ".docx", ".doc"), "a document; save its texts as CSV"),
}
# What a file begins with that is no text, whatever its name says.
_NO_TEXTS = {
    b"PK\x03\x04": f"a zip archive or an Excel workbook; {_SHEET}, or unpack it",
    b"\xd0\xcf\x11\xe0": f"an old Excel workbook; {_SHEET}",
    b"PAR1": "a Parquet file; name it .parquet",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"%PDF": "a PDF; save its texts as CSV",
    b"version https://git-lfs": "a pointer of Git LFS instead of the file; run git lfs pull",
}
# What `datasets` writes into a directory that `load_from_disk` reads.
_SAVED = ("dataset_dict.json", "state.json")

_Reader = Callable[[Path, str, Sequence[str]], DataTable]


def read_table(
    source: str,
    split: str | None = None,
    *,
    splits: Sequence[str] = JUDGED,
    encoding: str | None = None,
    asked: Sequence[str] = (),
) -> DataTable:
    """Read a file, a directory of a data set, or a data set of the hub (``NAME`` or ``NAME:CONFIG``).

    ``split`` chooses among the parts of a data set, without it the first of ``splits`` that it has.
    ``encoding`` is that of a file without a byte-order mark. ``asked`` are the options that name columns:
    they settle whether a table's first line is its header. Raises :class:`DataError`, naming the line if
    there is one, :class:`SettingError` for what such a source does not have, and
    :class:`~prensa.errors.MissingPackageError` for Parquet and data sets without ``datasets``.
    """
    path = Path(source).expanduser()
    if path.is_file():
        table = _read_file(path, split, encoding, asked)
    else:
        table = _read_dataset(source, path, split, splits, asked)
        if encoding is not None:
            raise SettingError(f"{source}: `encoding` {encoding} is for files; a data set has none")
    if not len(table):
        raise DataError(f"{source}: empty, expected at least one text")
    return table


def _read_file(path: Path, split: str | None, encoding: str | None, asked: Sequence[str]) -> DataTable:
    if split is not None:
        raise SettingError(f"{path}: `split` {split} is for data sets; a file has no splits")
    kind = kind_of(path)
    if kind not in {*_READERS, _PARQUET}:
        raise DataError(not_a_kind(path, kind))
    try:
        data = decompress(path, path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if kind == _PARQUET:
        if encoding is not None:
            raise SettingError(f"{path}: `encoding` {encoding} is for files of text; Parquet has its own")
        return _read_parquet(path, data)
    refuse_no_text(path, kind, data)
    text, note = decode(path, data, encoding)
    table = _READERS[kind](path, text, asked)
    if not note:
        return table
    return dataclasses.replace(table, notes=(*table.notes, note))


def refuse_no_text(path: Path, kind: str, data: bytes) -> None:
    """Raise :class:`DataError` for a file whose first bytes are those of something else than ``kind``."""
    for start, content in _NO_TEXTS.items():
        if data.startswith(start):
            raise DataError(f"{path}: expected {kind}, found {content}")


def kind_of(path: Path) -> str:
    """Return the ending that says what is in a file, in lower case: ``.csv`` of ``A.CSV.gz``."""
    endings = [ending.lower() for ending in path.suffixes]
    while endings and endings[-1] in SUFFIXES:
        endings.pop()
    if not endings:
        return ""
    return endings[-1]


def not_a_kind(path: Path, kind: str, kinds: Iterable[str] = ()) -> str:
    """Word that a file is of none of the ``kinds``, by default those that are read, and what to do."""
    expected = ", ".join(kinds or (*_READERS, _PARQUET))
    message = f"{path}: expected a file that ends in {expected}, found {kind or 'no ending'!r}"
    if kind in _ADVICE:
        message += f"; {_ADVICE[kind]}"
    return message


def _csv(path: Path, text: str, asked: Sequence[str]) -> DataTable:
    return read_delimited(path, text, ",", asked)


def _tsv(path: Path, text: str, asked: Sequence[str]) -> DataTable:
    return read_delimited(path, text, "\t", asked)


def _named(read: Callable[[Path, str], DataTable]) -> _Reader:
    """Make a reader of one whose columns have names in any case, so that options settle nothing."""
    return lambda path, text, asked: read(path, text)


_READERS: dict[str, _Reader] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".tab": _tsv,
    ".json": _named(read_json),
    ".jsonl": _named(read_json),
    ".ndjson": _named(read_json),
    ".txt": _named(read_lines),
    ".conll": _named(read_words),
    ".bio": _named(read_words),
    ".iob": _named(read_words),
    ".iob2": _named(read_words),
}


def _read_parquet(path: Path, data: bytes) -> DataTable:
    require("data", f"{path}: a Parquet file")
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(io.BytesIO(data))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet ({first_line(error)})") from error
    classes = _classes_in(content.schema.metadata or {})
    cells = {name: cells_of(content, name, str(path)) for name in content.column_names}
    return DataTable(path.name, cells, classes)


def _classes_in(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Return the names behind integers that ``datasets`` wrote into a Parquet file."""
    classes: dict[str, Sequence[str]] = {}
    try:
        content = json.loads(metadata.get(b"huggingface", b"{}"))
        features = content.get("info", {}).get("features", {})
        for column, feature in features.items():
            # Of a column of lists, the feature of what is in them.
            inner = feature.get("feature", feature)
            if "names" in inner:
                classes[column] = inner["names"]
    except (ValueError, AttributeError, TypeError):
        # Another program's idea of that key.
        return {}
    return classes


def _read_dataset(
    source: str, path: Path, split: str | None, splits: Sequence[str], asked: Sequence[str]
) -> DataTable:
    # What can only be a file is not looked for on the hub.
    has_ending = kind_of(path) in {*_READERS, _PARQUET}
    looks_like_a_file = has_ending or source.startswith((".", "/", "~"))
    if looks_like_a_file and not path.exists():
        raise DataError(f"{source}: no such file")
    content = _load_dataset(source, path)
    name = source
    if isinstance(content, dict):
        chosen = _choose_split(source, content, split, splits)
        name = f"{source} (split {chosen})"
        part = content[chosen]
    elif split is not None:
        raise SettingError(f"{source}: `split` {split}, but the data set has no splits")
    else:
        part = content
    classes: dict[str, Sequence[str]] = {}
    for column, feature in part.features.items():
        # Of a column of lists, the feature of what is in them.
        inner = getattr(feature, "feature", feature)
        if hasattr(inner, "names"):
            classes[column] = inner.names
    columns: dict[str, list[Cell]] = {}
    for column in part.column_names:
        # A slice is a list; a column by itself is read cell by cell, from disk.
        columns[column] = part[column][:]
    table = DataTable(name, columns, classes)
    if part.info.builder_name == "csv":
        _check_csv(table, asked)
    return table


def _load_dataset(source: str, path: Path) -> Dataset | DatasetDict:
    require("data", f"{source}: a data set")
    import datasets

    place, _, config = source.partition(":")
    if path.is_dir():
        # A colon in the name of a directory separates nothing.
        place, config = str(path), ""
    try:
        if any((path / name).is_file() for name in _SAVED):
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(place, config or None)
    except Exception as error:
        # Whatever a hub, a disk or a parser can raise.
        raise DataError(f"{source}: no such file, and not a data set ({first_line(error)})") from error


def _check_csv(table: DataTable, asked: Sequence[str]) -> None:
    """Refuse what ``datasets`` reads out of CSV files in silence: one column of all, or a header of texts."""
    names = list(table.columns)
    cells = [names]
    for row in zip(*table.columns.values(), strict=True):
        cells.append(list(map(_as_text, row)))
    if len(names) == 1:
        lines = [row[0] for row in cells]
        text = "\n".join(lines)
        if guess_separator(text, "\n") != "\n":
            raise DataError(
                f"{table.name}: commas do not separate its columns ({names[0]}); give the file itself"
            )
    # Columns by number are not known to `datasets`: the choice of columns reports them.
    if not any(map(str.isdecimal, asked)):
        refuse_doubtful_header(table.name, cells, asked, advice="give the file itself; ")


def _as_text(cell: Cell) -> str:
    """Return a cell as the file had it: ``datasets`` makes numbers of what looks like them."""
    if cell is None:
        return ""
    return str(cell)


def _choose_split(source: str, parts: Collection[str], split: str | None, splits: Sequence[str]) -> str:
    names: Iterable[str] = splits
    if split:
        names = (split,)
    for name in names:
        if name in parts:
            return name
    raise DataError(
        f"{source}: expected the split {' or '.join(names)}, found {', '.join(parts)}; give `split`"
    )
