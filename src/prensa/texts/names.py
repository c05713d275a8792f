"""Names as people write them: those of columns and labels, compared whatever their case and separators."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from prensa.errors import DataError

TEXT_COLUMNS = ("text", "sentence", "comment_text", "comment", "content", "review", "tokens", "words")
LABEL_COLUMNS = ("label", "labels", "target", "class", "tags", "ner_tags")
"""Names that columns of texts and labels usually have, the more usual first."""

_OTHER_COLUMNS = ("id", "idx", "index", "score", "sentence1", "sentence2", "premise", "hypothesis")
_SEPARATORS = re.compile(r"[\s_-]+")
_INVISIBLE = "\ufeff\u200b"  # a byte-order mark in the middle of joined files, a space without width


def folded(name: str) -> str:
    """``" Comment_Text"`` → ``"comment text"``."""
    return _SEPARATORS.sub(" ", name.strip(_INVISIBLE).casefold()).strip()


_USUAL = {folded(name) for name in (*TEXT_COLUMNS, *LABEL_COLUMNS, *_OTHER_COLUMNS)}


def is_usual(name: str) -> bool:
    """Whether columns of tables of texts are usually called so."""
    return folded(name) in _USUAL


def find(name: str, names: Collection[str]) -> str | None:
    """Return the one of ``names`` that is meant, None where there is none or more than one."""
    if name in names:
        return name
    alike = [each for each in names if folded(each) == folded(name)]
    return alike[0] if len(alike) == 1 else None


def split_names(option: str) -> list[str]:
    """Split names with commas between them, as a row of a CSV file: ``'a, "b,c"'`` → ``["a", "b,c"]``."""
    rows = list(csv.reader(io.StringIO(option), skipinitialspace=True))
    return [name.strip() for row in rows for name in row]


def join_names(names: str | Iterable[str] | None) -> str | None:
    """Write names as :func:`split_names` reads them; one string is an option already."""
    if names is None or isinstance(names, str):
        return names
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(names)
    return row.getvalue()


def as_mapping(names: str | Mapping[Any, Any] | None) -> dict[str, str] | None:
    """Return what leads from names to labels: a dict, or ``"hateful=toxic,non-hateful=non-toxic"``.

    Raises :class:`DataError` for anything else.
    """
    if names is None:
        return None
    if isinstance(names, Mapping):
        return {
            str(name).strip(): "" if label is None else str(label).strip() for name, label in names.items()
        }
    found: dict[str, str] = {}
    for pair in split_names(names):
        name, equals, label = pair.rpartition("=")
        if not equals or not name.strip() or name.strip() in found:
            raise DataError(
                f"--labels {names}: expected NAME=LABEL with commas between, each NAME once, as "
                f"hateful=toxic,non-hateful=non-toxic; found {pair!r}"
            )
        found[name.strip()] = label.strip()
    if not found:
        raise DataError("--labels: expected NAME=LABEL, found nothing")
    return found


def quoted(names: Sequence[str]) -> str:
    """Write names for a message: ``["a", "b"]`` → ``"'a', 'b'"``."""
    return ", ".join(map(repr, names))
