"""Read a table of texts: from a file of any usual kind, a directory, or a data set of the hub."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from prensa.errors import DataError, first_line
from prensa.extras import require
from prensa.texts.characters import decode
from prensa.texts.compressed import SUFFIXES, decompress
from prensa.texts.delimited import guess_separator, read_delimited
from prensa.texts.header import doubt, how_to_settle
from prensa.texts.lines import read_lines, read_words
from prensa.texts.records import read_json
from prensa.texts.table import DataTable

_SPLITS = ("test", "validation", "dev")  # which one is taken where none is named
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

_Reader = Callable[[Path, str, Sequence[str]], DataTable]


def read_table(
    source: str, split: str | None = None, *, encoding: str | None = None, asked: Sequence[str] = ()
) -> DataTable:
    """Read a file, a directory of a data set, or a data set of the hub (``NAME`` or ``NAME:CONFIG``).

    ``split`` chooses among the parts of a data set, ``encoding`` is that of a file without a byte-order mark.
    ``asked`` are the options that name columns: they settle whether a table's first line is its header.
    Raises :class:`DataError`, naming the line where there is one, and
    :class:`~prensa.errors.MissingPackageError` for Parquet and data sets without ``datasets``.
    """
    path = Path(source).expanduser()
    if path.is_file():
        table = _read_file(path, split, encoding, asked)
    else:
        table = _read_dataset(source, path, split, asked)
        if encoding is not None:
            raise DataError(f"{source}: --encoding {encoding} is for files; a data set has none")
    if not len(table):
        raise DataError(f"{source}: empty, expected at least one text")
    return table


def _read_file(path: Path, split: str | None, encoding: str | None, asked: Sequence[str]) -> DataTable:
    if split is not None:
        raise DataError(f"{path}: --split {split} is for data sets; a file has no splits")
    kind = _kind(path)
    if kind not in {*_READERS, _PARQUET}:
        advice = f"; {_ADVICE[kind]}" if kind in _ADVICE else ""
        raise DataError(
            f"{path}: expected a file that ends in {', '.join((*_READERS, _PARQUET))}, "
            f"found {kind or 'no ending'!r}{advice}"
        )
    try:
        data = decompress(path, path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if kind == _PARQUET:
        if encoding is not None:
            raise DataError(f"{path}: --encoding {encoding} is for files of text; Parquet has its own")
        return _read_parquet(path, data)
    for start, found in _NO_TEXTS.items():
        if data.startswith(start):
            raise DataError(f"{path}: expected {kind}, found {found}")
    text, note = decode(path, data, encoding)
    table = _READERS[kind](path, text, asked)
    return dataclasses.replace(table, notes=(*table.notes, note)) if note else table


def _kind(path: Path) -> str:
    """Return the ending that says what is in a file, in lower case: ``.csv`` of ``A.CSV.gz``."""
    endings = path.suffixes
    while endings and endings[-1].lower() in SUFFIXES:
        endings.pop()
    return endings[-1].lower() if endings else ""


def _csv(path: Path, text: str, asked: Sequence[str]) -> DataTable:
    return read_delimited(path, text, ",", asked)


def _tsv(path: Path, text: str, asked: Sequence[str]) -> DataTable:
    return read_delimited(path, text, "\t", asked)


def _json(path: Path, text: str, asked: Sequence[str]) -> DataTable:  # noqa: ARG001
    return read_json(path, text)


def _lines(path: Path, text: str, asked: Sequence[str]) -> DataTable:  # noqa: ARG001
    return read_lines(path, text)


def _words(path: Path, text: str, asked: Sequence[str]) -> DataTable:  # noqa: ARG001
    return read_words(path, text)


_READERS: dict[str, _Reader] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".tab": _tsv,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
    ".txt": _lines,
    ".conll": _words,
    ".bio": _words,
    ".iob": _words,
    ".iob2": _words,
}


def _read_parquet(path: Path, data: bytes) -> DataTable:
    require("data", f"{path}: a Parquet file")
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(io.BytesIO(data))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet ({first_line(error)})") from error
    classes = _classes_in(content.schema.metadata or {})
    return DataTable(path.name, content.to_pydict(), classes)


def _classes_in(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Return the names behind integers that ``datasets`` wrote into a Parquet file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        each = {column: feature.get("feature", feature) for column, feature in features.items()}
        return {column: feature["names"] for column, feature in each.items() if "names" in feature}
    except (ValueError, AttributeError, TypeError):  # another program's idea of that key
        return {}


def _read_dataset(source: str, path: Path, split: str | None, asked: Sequence[str]) -> DataTable:
    looks_like_a_file = _kind(path) in {*_READERS, _PARQUET} or source.startswith((".", "/", "~"))
    if looks_like_a_file and not path.exists():
        raise DataError(f"{source}: no such file")
    require("data", f"{source}: a data set")
    import datasets

    place, _, config = (str(path), "", "") if path.is_dir() else source.partition(":")
    try:
        if path.is_dir() and ((path / "dataset_dict.json").is_file() or (path / "state.json").is_file()):
            found = datasets.load_from_disk(str(path))
        else:
            found = datasets.load_dataset(place, config or None)
    except Exception as error:  # whatever a hub, a disk or a parser can say
        raise DataError(f"{source}: no such file, and not a data set ({first_line(error)})") from error
    if split is not None and not isinstance(found, dict):
        raise DataError(f"{source}: --split {split}, but the data set has no splits")
    taken = _split(source, found, split) if isinstance(found, dict) else ""
    part = found[taken] if taken else found
    features = {column: getattr(each, "feature", each) for column, each in part.features.items()}
    classes = {column: each.names for column, each in features.items() if hasattr(each, "names")}
    name = f"{source} (split {taken})" if taken else source
    table = DataTable(name, {column: part[column][:] for column in part.column_names}, classes)
    if part.info.builder_name == "csv":
        _check_csv(table, asked)
    return table


def _check_csv(table: DataTable, asked: Sequence[str]) -> None:
    """Refuse what ``datasets`` reads out of CSV files in silence: one column of all, or a header of texts."""
    names = list(table.columns)
    rows = [["" if cell is None else str(cell) for cell in row] for row in zip(*table.columns.values())]  # noqa: B905
    if len(names) == 1 and guess_separator("\n".join([names[0], *(row[0] for row in rows)]), "\n") != "\n":
        raise DataError(
            f"{table.name}: commas do not separate its columns ({names[0]}); give the file itself"
        )
    if all(not option.isdecimal() for option in asked) and (reason := doubt(names, rows, asked)):
        raise DataError(
            f"{table.name}: the first line may be a row, not a header: {reason}; give the file itself; "
            f"{how_to_settle([names, *rows])}"
        )


def _split(source: str, splits: Collection[str], wanted: str | None) -> str:
    names: Iterable[str] = (wanted,) if wanted else _SPLITS
    for name in names:
        if name in splits:
            return name
    raise DataError(
        f"{source}: expected the split {wanted or ' or '.join(_SPLITS)}, found {', '.join(splits)}; "
        "give --split"
    )
