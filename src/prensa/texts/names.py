"""Names as people write them: those of columns and labels, compared whatever their case and separators."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from prensa.errors import SettingError

TEXT_COLUMNS = ("text", "sentence", "comment_text", "comment", "content", "review", "tokens", "words")
LABEL_COLUMNS = ("label", "labels", "target", "class", "tags", "ner_tags")
"""Names that columns of texts and labels usually have, the more usual first."""

QUESTION, CONTEXT = "question", "context"
ANSWER_COLUMNS = ("answers", "answer")
"""Names that columns have in files of questions with their contexts."""

WRITTEN_COLUMNS = ("reference", "references", "summary", "highlights", "translation")
"""Names of columns of texts that are to be written for others."""

_OTHER_COLUMNS = ("id", "idx", "index", "score", "sentence1", "sentence2", "premise", "hypothesis")
_SEPARATORS = re.compile(r"[\s_-]+")
# A byte-order mark in the middle of joined files, and a space without width.
_INVISIBLE = "\ufeff\u200b"


def folded(name: str) -> str:
    """``" Comment_Text"`` → ``"comment text"``."""
    visible = name.strip(_INVISIBLE).casefold()
    return _SEPARATORS.sub(" ", visible).strip()


_USUAL = frozenset(
    map(folded, (*TEXT_COLUMNS, *LABEL_COLUMNS, *_OTHER_COLUMNS, QUESTION, CONTEXT, *ANSWER_COLUMNS))
)


def is_usual(name: str) -> bool:
    """Whether columns of tables of texts are usually called so."""
    return folded(name) in _USUAL


def find(name: str, names: Collection[str]) -> str | None:
    """Return the one of ``names`` that is meant, None if none fits or more than one does."""
    if name in names:
        return name
    key = folded(name)
    alike = [other for other in names if folded(other) == key]
    if len(alike) != 1:
        return None
    return alike[0]


def split_names(option: str) -> list[str]:
    """Split names with commas between them, as a row of a CSV file: ``'a, "b,c"'`` → ``["a", "b,c"]``."""
    names: list[str] = []
    for row in csv.reader(io.StringIO(option), skipinitialspace=True):
        names.extend(map(str.strip, row))
    return names


def join_names(names: str | Iterable[str] | None) -> str | None:
    """Write names as :func:`split_names` reads them; one string is an option already."""
    if names is None or isinstance(names, str):
        return names
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(names)
    return row.getvalue()


def as_mapping(names: str | Mapping[str, str | None] | None) -> dict[str, str] | None:
    """Return what leads from names to labels: a dict, or ``"hateful=toxic,non-hateful=non-toxic"``.

    Raises :class:`SettingError` for anything else.
    """
    if names is None:
        return None
    mapping: dict[str, str] = {}
    if isinstance(names, Mapping):
        for name, label in names.items():
            # None leaves rows out, as an empty label does.
            label_text = "" if label is None else str(label).strip()
            mapping[str(name).strip()] = label_text
        return mapping
    for pair in split_names(names):
        # The last equals sign: names of a data set hold more of them than a model's labels do.
        name, equals, label = pair.rpartition("=")
        name = name.strip()
        if not equals or not name or name in mapping:
            raise SettingError(
                f"`labels` {names}: expected NAME=LABEL with commas between, each NAME once, as "
                f"hateful=toxic,non-hateful=non-toxic; found {pair!r}"
            )
        mapping[name] = label.strip()
    if not mapping:
        raise SettingError("`labels`: expected NAME=LABEL, found nothing")
    return mapping


def quoted(names: Sequence[str]) -> str:
    """Write names for a message: ``["a", "b"]`` → ``"'a', 'b'"``."""
    return ", ".join(map(repr, names))
