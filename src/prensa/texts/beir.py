"""BEIR's directories: ``corpus.jsonl``, ``queries.jsonl``, and ``qrels/SPLIT.tsv`` with the grades.

The layout is that of https://github.com/beir-cellar/beir: an object on each line, with ``_id``, ``text`` and
of passages perhaps a ``title``, which stands in front of the text. A line of grades is a query's id, a
passage's and a whole number, with tabs between; the first line names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from prensa.errors import DataError, SettingError
from prensa.texts.collection import Collection
from prensa.texts.ids import as_int
from prensa.texts.source import Source

CORPUS, QUERIES, GRADES = "corpus.jsonl", "queries.jsonl", "qrels"
_CELLS = 3


def is_beir(source: Source) -> bool:
    """Whether a source names a directory of this layout, by the files that are there."""
    if source.name is None:
        return False
    path = Path(str(source.name)).expanduser()
    others = (path / QUERIES).is_file() or (path / GRADES).is_dir()
    return others and (path / CORPUS).is_file()


def read_beir(source: Source, splits: Sequence[str]) -> Collection:
    """Read a directory: the split that the source names, else the first of ``splits`` that it has.

    Raises :class:`SettingError` for options of tables, and :class:`DataError`, naming file and line, for what
    cannot be read and for ids that are not there.
    """
    path = Path(str(source.name)).expanduser()
    _check_settings(source)
    if not (path / QUERIES).is_file():
        raise DataError(f"{path}: has {CORPUS} and {GRADES}, as BEIR's data sets, but no {QUERIES}; add it")
    split = _chosen_split(path, source.split, splits)
    queries = _texts_in(path / QUERIES)
    passages = _texts_in(path / CORPUS)
    grades: dict[str, dict[str, int]] = {}
    place = path / GRADES / f"{split}.tsv"
    for where, query, passage, grade in _grades_in(place):
        for name, known, file in (("query", queries, QUERIES), ("passage", passages, CORPUS)):
            wanted = query if name == "query" else passage
            if wanted not in known:
                raise DataError(
                    f"{where}: the {name} {wanted!r} is not in {file}; add it, or remove the line"
                )
        own = grades.setdefault(query, {})
        if own.setdefault(passage, grade) != grade:
            raise DataError(f"{where}: the same query and passage as before with another score; keep one")
    if not grades:
        raise DataError(f"{place}: empty, expected a query's id, a passage's and a score on each line")
    name = f"{source.name} (split {split})"
    account = f"{name}: BEIR's layout, {len(queries):,} queries and {len(passages):,} passages read"
    return Collection(name, queries, passages, grades, has_corpus=True, account=account)


def _check_settings(source: Source) -> None:
    settings = {
        "text_column": source.text_option,
        "label_column": source.label_option,
        "labels": source.labels,
        "encoding": source.encoding,
    }
    for name, value in settings.items():
        if value is not None:
            raise SettingError(
                f"`{name}`: {source.name} has BEIR's layout, whose files settle it; leave it out"
            )


def _chosen_split(path: Path, split: str | None, splits: Sequence[str]) -> str:
    found = sorted(file.stem for file in (path / GRADES).glob("*.tsv"))
    wanted = [split] if split is not None else list(splits)
    for name in wanted:
        if name in found:
            return name
    raise DataError(
        f"{path / GRADES}: expected {' or '.join(f'{name}.tsv' for name in wanted)}, found "
        f"{', '.join(found) or 'no .tsv file'}; give `split`"
    )


def _texts_in(path: Path) -> dict[str, str]:
    """Return texts by their ids."""
    texts: dict[str, str] = {}
    for where, line in _lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not valid JSON ({error})") from error
        if not isinstance(record, dict) or "_id" not in record or not isinstance(record.get("text"), str):
            raise DataError(f"{where}: expected an object with _id and text")
        identity = str(record["_id"])
        if identity in texts:
            raise DataError(f"{where}: the _id {identity!r} a second time; make them different")
        title = record.get("title") or ""
        texts[identity] = f"{title} {record['text']}".strip()
    return texts


def _grades_in(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """Yield where each line stands, a query's id, a passage's and the grade."""
    is_first = True
    for where, line in _lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != _CELLS:
            raise DataError(
                f"{where}: expected query-id, corpus-id and score with tabs between, found {line!r}"
            )
        query, passage, score = cells
        grade = as_int(score)
        # Only the first line may hold names.
        if grade is None and not is_first:
            raise DataError(f"{where}: expected a whole number as score, found {score!r}")
        is_first = False
        if grade is not None:
            yield where, query, passage, grade


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that hold anything, each with where it stands."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, behind line {number}: not UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
