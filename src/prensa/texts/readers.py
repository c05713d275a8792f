"""Read a table of texts: CSV, TSV, JSON lines, Parquet, plain lines, or a data set of the hub."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prensa.errors import DataError, first_line
from prensa.extras import require

_CELL = 1 << 30  # characters; csv's own limit is 131,072
_SPLITS = ("test", "validation", "dev")  # which one is taken where none is named


@dataclass(frozen=True)
class DataTable:
    """Columns of equal length. ``classes`` gives the names behind the integers of a column that has them."""

    name: str
    columns: Mapping[str, Sequence[Any]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_table(source: str, split: str | None = None) -> DataTable:
    """Read a file, a directory of a data set, or a data set of the hub (``NAME`` or ``NAME:CONFIG``).

    ``split`` chooses among the parts of a data set. Raises :class:`DataError`, naming the line where there
    is one, and :class:`~prensa.errors.MissingPackageError` for Parquet and data sets without ``datasets``.
    """
    path = Path(source).expanduser()
    table = _read_file(path, split) if path.is_file() else _read_dataset(source, path, split)
    if not any(map(len, table.columns.values())):
        raise DataError(f"{source}: empty, expected at least one text")
    return table


def _read_file(path: Path, split: str | None) -> DataTable:
    if split is not None:
        raise DataError(f"{path}: --split {split} is for data sets; a file has no splits")
    if path.suffix not in _READERS:
        raise DataError(
            f"{path}: expected a file that ends in {', '.join(_READERS)}, "
            f"found {path.suffix or 'no ending'!r}"
        )
    return _READERS[path.suffix](path)


def _read_csv(path: Path, delimiter: str = ",") -> DataTable:
    limit = csv.field_size_limit(_CELL)
    try:
        reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter=delimiter)
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not valid CSV ({error})") from error
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise DataError(f"{path}: empty, expected a line of column names and at least one text")
    names = [name.strip() for name in rows[0][1]]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: the first line names a column twice ({', '.join(names)})")
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise DataError(
                f"{path}: line {line} has {len(row)} cells, the first line names {len(names)} columns "
                f"({', '.join(names)})"
            )
    return DataTable(path.name, {name: [row[i] for _, row in rows[1:]] for i, name in enumerate(names)})


def _read_tsv(path: Path) -> DataTable:
    return _read_csv(path, "\t")


def _read_json_lines(path: Path) -> DataTable:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number}: expected an object, found {type(row).__name__}")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return DataTable(path.name, {name: [row.get(name) for row in rows] for name in names})


def _read_lines(path: Path) -> DataTable:
    lines = _read_text(path).replace("\r\n", "\n").split("\n")
    return DataTable(path.name, {"text": lines if lines[-1] else lines[:-1]})


def _read_parquet(path: Path) -> DataTable:
    require("data", f"{path}: a Parquet file")
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(path).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet ({first_line(error)})") from error
    return DataTable(path.name, content)


_READERS: dict[str, Callable[[Path], DataTable]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
    ".txt": _read_lines,
}


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: line {line} is not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error


def _read_dataset(source: str, path: Path, split: str | None) -> DataTable:
    looks_like_a_file = path.suffix in _READERS or source.startswith((".", "/", "~"))
    if looks_like_a_file and not path.exists():
        raise DataError(f"{source}: no such file")
    require("data", f"{source}: a data set")
    import datasets

    place, _, config = (source, "", "") if path.is_dir() else source.partition(":")
    try:
        if path.is_dir() and ((path / "dataset_dict.json").is_file() or (path / "state.json").is_file()):
            found = datasets.load_from_disk(str(path))
        else:
            found = datasets.load_dataset(place, config or None)
    except Exception as error:  # whatever a hub, a disk or a parser can say
        raise DataError(f"{source}: no such file, and not a data set ({first_line(error)})") from error
    taken = _split(source, found, split) if isinstance(found, dict) else ""
    part = found[taken] if taken else found
    features = {column: getattr(each, "feature", each) for column, each in part.features.items()}
    classes = {column: each.names for column, each in features.items() if hasattr(each, "names")}
    name = f"{source} (split {taken})" if taken else source
    return DataTable(name, {column: part[column][:] for column in part.column_names}, classes)


def _split(source: str, splits: Collection[str], wanted: str | None) -> str:
    names: Iterable[str] = (wanted,) if wanted else _SPLITS
    for name in names:
        if name in splits:
            return name
    raise DataError(
        f"{source}: expected the split {wanted or ' or '.join(_SPLITS)}, found {', '.join(splits)}; "
        "give --split"
    )
