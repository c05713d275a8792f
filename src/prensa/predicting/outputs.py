"""Files of answers: written in parts, each whole, and joined to one at the end.

What is compressed is compressed part by part: gzip, bzip2, xz and zstandard all read such files as one.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import zstandard

from prensa.errors import DataError, OutputError, first_line
from prensa.extras import require
from prensa.files.atomic import replacing_file
from prensa.predicting.answers import Answered, Column, Holds
from prensa.predicting.contents import KINDS, LINES, PARQUET, SEPARATED, Content
from prensa.predicting.windows import Kept
from prensa.texts.compressed import SUFFIXES
from prensa.texts.readers import kind_of
from prensa.texts.table import Cell

if TYPE_CHECKING:
    import pyarrow as pa

# Parts become groups of rows of up to so many bytes: larger ones are read faster, and are in memory here
# several times, as they are, encoded and compressed.
_GROUP = 1 << 23


class Output(Protocol):
    """How a file of answers is written."""

    def write(self, path: Path, kept: Kept, answered: Answered) -> None:
        """Write a part."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of parts, in their order."""


def check_kind(path: Path) -> None:
    """Raise :class:`OutputError` for a file whose name does not say what it is to be."""
    kind = kind_of(path)
    if kind not in KINDS:
        expected = ", ".join(KINDS)
        raise OutputError(
            f"{path}: expected a name that ends in {expected} (or one of those and .gz), found "
            f"{kind or 'no ending'!r}"
        )
    if kind == PARQUET and path.suffix.lower() in SUFFIXES:
        raise OutputError(f"{path}: Parquet is compressed inside; leave {path.suffix} out of its name")


def output_for(path: Path, content: Content, kept: Sequence[str], columns: Sequence[Column]) -> Output:
    """Return how ``path`` is written, with some columns of a content and those of the answers.

    Raises :class:`DataError` for columns that such a file cannot hold.
    """
    kind = kind_of(path)
    if kind == PARQUET:
        require("data", f"{path}: a Parquet file")
        output = ParquetOutput(content.schema(kept), tuple(columns))
        output.check(content.first.name)
        return output
    _refuse_bytes(path, content, kept)
    names = (*kept, *(column.name for column in columns))
    if kind in LINES:
        return TextOutput(_packed(path), b"", _lines)
    separator = SEPARATED[kind]
    header = _separated([names], separator)
    return TextOutput(_packed(path), header, lambda rows: _separated(_cells(rows, names), separator))


@dataclass(frozen=True)
class TextOutput:
    """A file of text, compressed by ``pack``; ``header`` stands at its start."""

    pack: Callable[[bytes], bytes]
    header: bytes
    written: Callable[[Iterable[Mapping[str, Cell]]], bytes]

    def write(self, path: Path, kept: Kept, answered: Answered) -> None:
        """Write a part without the header."""
        rows = []
        for own, answers in zip(kept.rows(), answered.rows, strict=True):
            rows.append({**own, **answers})
        with replacing_file(path) as file:
            file.write(self.pack(self.written(rows)))

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Put parts behind each other."""
        with replacing_file(path) as file:
            if self.header or not parts:
                file.write(self.pack(self.header))
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file)


@dataclass(frozen=True)
class ParquetOutput:
    """A file of Parquet: columns that are kept with their types, and those of the answers."""

    kept: pa.Schema
    columns: tuple[Column, ...]

    def check(self, name: str) -> None:
        """Raise :class:`DataError` for types that Parquet does not have, such as objects without a field."""
        import pyarrow as pa

        try:
            self._write([self._schema().empty_table()], io.BytesIO())
        except pa.ArrowException as error:
            raise DataError(
                f"{name}: holds what Parquet cannot ({first_line(error)}); write .jsonl, or leave that "
                "column out of `columns`"
            ) from error

    def write(self, path: Path, kept: Kept, answered: Answered) -> None:
        """Write a part as a file of Parquet."""
        import pyarrow as pa

        schema = self._schema()
        arrays = list(kept.table(self.kept).columns)
        for column in self.columns:
            cells = [row[column.name] for row in answered.rows]
            arrays.append(pa.array(cells, schema.field(column.name).type))
        table = pa.Table.from_arrays(arrays, schema=schema)
        with replacing_file(path) as file:
            self._write([table], file)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Put the rows of parts into larger groups."""
        # Parquet has no whole seconds, for one: parts hold them as thousandths.
        schema = self._schema()
        with replacing_file(path) as file:
            self._write((_read(part).cast(schema) for part in parts), file)

    def _write(self, tables: Iterable[pa.Table], file: BinaryIO) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        some: list[pa.Table] = []
        with parquet.ParquetWriter(file, self._schema()) as writer:
            for table in tables:
                some.append(table)
                if sum(one.nbytes for one in some) >= _GROUP:
                    writer.write_table(pa.concat_tables(some))
                    some = []
            if some:
                writer.write_table(pa.concat_tables(some))

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        fields = [pa.field(column.name, _type_of(column.holds)) for column in self.columns]
        return pa.schema([*self.kept, *fields], self.kept.metadata)


def _read(part: Path) -> pa.Table:
    """Read a part in this thread: each thread that reads keeps memory of its own."""
    from pyarrow import parquet

    with parquet.ParquetFile(part, pre_buffer=False) as file:
        return file.read(use_threads=False)


def _type_of(holds: Holds) -> pa.DataType:
    import pyarrow as pa

    span = [("label", pa.string()), ("score", pa.float32())]
    span += [("start", pa.int32()), ("end", pa.int32()), ("text", pa.string())]
    types = {
        "text": pa.string(),
        "number": pa.float32(),
        "place": pa.int32(),
        "vector": pa.list_(pa.float32()),
        "spans": pa.list_(pa.struct(span)),
    }
    return types[holds]


def _lines(rows: Iterable[Mapping[str, Cell]]) -> bytes:
    lines = []
    for row in rows:
        text = _json(row)
        try:
            line = text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair, which only an escape can write.
            line = _json(row, ensure_ascii=True).encode()
        lines.append(line + b"\n")
    return b"".join(lines)


def _cells(rows: Iterable[Mapping[str, Cell]], names: Sequence[str]) -> Iterable[list[str]]:
    for row in rows:
        yield [_in_words(row.get(name)) for name in names]


def _separated(rows: Iterable[Sequence[str]], separator: str) -> bytes:
    text = io.StringIO(newline="")
    usual = csv.writer(text, delimiter=separator, lineterminator="\n")
    # A "\r" ends a row as well, and not every version of csv puts quotes around it.
    quoting = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer = usual
        if any("\r" in cell for cell in row):
            writer = quoting
        writer.writerow(row)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _in_words(cell: Cell) -> str:
    """Return a cell as tables of text have it: nothing is empty, and what is no text is as in JSON."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    plain = cell
    if not isinstance(cell, (bool, int, float, list, tuple, dict)):
        plain = _plain(cell)
    if isinstance(plain, str):
        return plain
    # JSON has no word for these; tables of text have, and leave empty what is not a number.
    if isinstance(plain, float) and not math.isfinite(plain):
        return "" if math.isnan(plain) else str(float(plain))
    return _json(plain)


def _json(value: object, *, ensure_ascii: bool = False) -> str:
    """Return JSON of a value, with null for a number that JSON does not have (NaN, infinity)."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=ensure_ascii, default=_plain)


def _finite(value: object) -> object:
    """Return a value with None in place of numbers that JSON does not have, inside of lists and dicts too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


def _plain(value: object) -> object:
    """Return what JSON has for a value of Parquet or of an answer."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    # Behind the rows that were looked at first.
    if isinstance(value, (bytes, bytearray)):
        raise DataError(
            "a column holds bytes, which only .parquet can; write that, or leave the column out of `columns`"
        )
    # Decimals, spans of time, identifiers: as they are read.
    return str(value)


def _packed(path: Path) -> Callable[[bytes], bytes]:
    """Return what compresses parts of a file of this name."""
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda data: gzip.compress(data, mtime=0),
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
    }
    return packers.get(path.suffix.lower(), lambda data: data)


def _refuse_bytes(path: Path, content: Content, kept: Sequence[str]) -> None:
    for name in kept:
        for cell in content.first.columns[name]:
            if _holds_bytes(cell):
                raise DataError(
                    f"{content.first.name}: column {name!r} holds bytes, which {path.name} cannot; write "
                    ".parquet, or leave it out of `columns`"
                )


def _holds_bytes(cell: Cell) -> bool:
    """Whether a cell is bytes, or has some in it, as an image of a data set has."""
    if isinstance(cell, dict):
        return any(map(_holds_bytes, cell.values()))
    if isinstance(cell, (list, tuple)):
        return any(map(_holds_bytes, cell))
    return isinstance(cell, (bytes, bytearray))
