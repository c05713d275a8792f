"""Which pieces stay: counted in the texts, with what they need, before a weight is read."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.config import read_config
from prensa.checkpoint.manifest import VocabularyReport
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import Task
from prensa.errors import EvaluationError, VocabularyError
from prensa.progress import Progress, silent
from prensa.temporary import temporary_directory
from prensa.texts.columns import Texts, read_texts, sample
from prensa.texts.encoding import Row, encode, load_tokenizer, longest
from prensa.vocabulary.files import named_pieces, new_config, rows_of, tokenizer_files
from prensa.vocabulary.scripts import written_in
from prensa.vocabulary.settings import TrimVocabulary
from prensa.vocabulary.tokenizer import Content, cut, family_of, pieces_of, read_content

_COUNTED = 200_000  # texts whose pieces are counted
_SPACES = "▁Ġ#"  # how vocabularies write spaces, or that there is none
_CHECKED = 1000  # texts that must be cut as before


@dataclass(frozen=True)
class Vocabulary:
    """A smaller vocabulary. ``report`` is what the manifest keeps of it.

    ``files`` are the tokenizer's, as they become, and ``config`` is ``config.json``. ``account`` says
    what was read of the texts.
    """

    report: VocabularyReport
    files: Mapping[str, bytes]
    config: Mapping[str, Any]
    account: str = ""


@dataclass(frozen=True)
class _Texts:
    """What the deployment reads, in pieces."""

    texts: Texts
    limit: int | None
    rows: Sequence[Row]
    counts: NDArray[np.int64]


def plan_vocabulary(  # noqa: PLR0913, PLR0917  where the texts are
    path: Path,
    settings: TrimVocabulary,
    source: str | None = None,
    text_column: str | None = None,
    split: str | None = None,
    progress: Progress = silent,
    encoding: str | None = None,
) -> Vocabulary:
    """Choose the pieces that stay and rewrite the tokenizer. Writes nothing.

    Raises :class:`VocabularyError` for what cannot be trimmed or asked for, and whatever reading texts and
    tokenizers raises.
    """
    if source is None and not settings.languages:
        raise VocabularyError(
            "--trim-vocabulary needs to know what will be read: give --texts, or --languages"
        )
    try:
        tokenizer = load_tokenizer(path)
    except EvaluationError as error:
        raise VocabularyError(str(error)) from error
    config = load_config(path)
    content = read_content(path, tokenizer)
    pieces = pieces_of(content)
    rows = rows_of(config)
    if max(pieces) >= rows:
        raise VocabularyError(
            f"{path}: the tokenizer has {max(pieces) + 1:,} pieces, the model {rows:,} rows for them; the "
            "two do not belong together"
        )
    texts = None
    if source is not None:
        texts = _read(tokenizer, config, (source, text_column, split, encoding), rows, progress)
        if not any(texts.counts[number] for number, piece in pieces.items() if piece.strip(_SPACES)):
            raise VocabularyError(
                f"{path}: the texts of {texts.texts.name} have no piece of its vocabulary; give others"
            )
    kept = _choose(content, pieces, settings, _always(path, tokenizer, config, content, settings), texts)
    new = {old: number for number, old in enumerate(kept)}
    files = tokenizer_files(path, tokenizer, cut(content, new), new)
    changed = new_config(read_config(path), config, new)
    report = VocabularyReport(
        before=rows,
        kept=tuple(kept),
        texts=None if texts is None else texts.texts.name,
        counted=0 if texts is None else len(texts.rows),
        covered=None if texts is None else float(texts.counts[kept].sum() / texts.counts.sum()),
        unchanged=None if texts is None else float(np.mean([_is_whole(row, new) for row in texts.rows])),
    )
    found = Vocabulary(report, files, changed, "" if texts is None else texts.texts.account)
    _check(path, found, pieces, texts)
    return found


def _read(
    tokenizer: Any,
    config: Any,
    where: tuple[str, str | None, str | None, str | None],
    rows: int,
    progress: Progress,
) -> _Texts:
    source, text_column, split, encoding = where
    texts = read_texts(
        source, Task("embedding"), text_column=text_column, label_column="", split=split, encoding=encoding
    )
    step = functools.partial(progress, "counting pieces")
    limit = longest(tokenizer, config, None)
    taken = sample(texts, _COUNTED)
    found = encode(tokenizer, taken, "embedding", limit, step).rows
    counts = np.zeros(rows, dtype=np.int64)
    for row in found:
        np.add.at(counts, row["input_ids"], 1)
    counts[[number for number in tokenizer.all_special_ids if number is not None]] = 0
    return _Texts(taken, limit, found, counts)


def _always(path: Path, tokenizer: Any, config: Any, content: Content, settings: TrimVocabulary) -> set[int]:
    """Return what stays whatever the texts say."""
    pieces = pieces_of(content)
    numbers = {piece: number for number, piece in pieces.items()}
    unknown = [piece for piece in settings.keep if piece not in numbers]
    if unknown:
        raise VocabularyError(
            f"{path}: to keep were asked pieces that the vocabulary does not have: "
            f"{', '.join(map(repr, unknown[:20]))}{' …' if len(unknown) > 20 else ''}"  # noqa: PLR2004
        )
    template = tokenizer.chat_template or ""
    templates = template.values() if isinstance(template, dict) else [template]
    return {
        *family_of(content).always(content["model"]),
        *(token["id"] for token in content["added_tokens"]),
        *(number for number in tokenizer.all_special_ids if number is not None),
        *(number for number in named_pieces(path, config) if number in pieces),
        *(numbers[piece] for piece in settings.keep),
        *(number for text in templates if text for number in tokenizer.encode(text)),
    }


def _choose(
    content: Content,
    pieces: Mapping[int, str],
    settings: TrimVocabulary,
    always: Iterable[int],
    texts: _Texts | None,
) -> list[int]:
    """Return the numbers of the pieces that stay, in their order."""
    needs = _needs(content)
    kept: set[int] = set()
    for number in always:
        kept |= needs(number)
    most = settings.pieces or len(pieces)
    if len(kept) > most:
        raise VocabularyError(
            f"--trim-vocabulary {most:,}: {len(kept):,} pieces must stay (marks, single characters and "
            "bytes, and what was asked to keep); ask for more"
        )
    for number in _wanted(pieces, settings, texts, kept):
        more = needs(number) - kept
        if len(kept) + len(more) > most:
            break
        kept |= more
    return sorted(kept)


def _needs(content: Content) -> Callable[[int], frozenset[int]]:
    """Return a function from a piece to those it is made of, itself too; added tokens are made of nothing."""
    parts = family_of(content).parts(content["model"])
    added = {token["id"] for token in content["added_tokens"]}
    return lambda number: frozenset([number]) if number in added else parts(number)


def _wanted(
    pieces: Mapping[int, str], settings: TrimVocabulary, texts: _Texts | None, kept: set[int]
) -> Iterable[int]:
    """Name pieces in the order of their worth: those of the texts, the most used first, then the languages'.

    Where a number of pieces was asked for, without languages, all others follow: vocabularies begin with the
    pieces that are used most.
    """
    if texts is not None:
        counts = texts.counts
        order = np.argsort(-counts, kind="stable")
        total = counts.sum()
        covered = counts[sorted(kept)].sum()
        for number in order[: int((counts > 0).sum())].tolist():
            if covered >= settings.coverage * total:
                break
            if number not in kept:
                covered += counts[number]
            yield number
    if settings.languages:
        is_written = written_in(settings.languages)
        yield from (number for number in sorted(pieces) if is_written(pieces[number]))
    elif settings.pieces:
        yield from sorted(pieces)


def _is_whole(row: Row, new: Mapping[int, int]) -> bool:
    return all(number in new for number in row["input_ids"])


def _check(path: Path, vocabulary: Vocabulary, pieces: Mapping[int, str], texts: _Texts | None) -> None:
    """Load the new tokenizer and see that it numbers its pieces, and cuts texts, as it must."""
    new = {old: number for number, old in enumerate(vocabulary.report.kept)}
    with temporary_directory() as directory:
        for name, content in vocabulary.files.items():
            (directory / name).write_bytes(content)
        (directory / "config.json").write_text(json.dumps(dict(vocabulary.config)), encoding="utf-8")
        smaller = load_tokenizer(directory)
    expected = {pieces[old]: number for old, number in new.items() if old in pieces}
    if smaller.get_vocab() != expected:
        wrong = sorted(set(smaller.get_vocab().items()) ^ set(expected.items()))[:3]
        raise VocabularyError(f"{path}: its tokenizer cannot be trimmed, pieces get other numbers ({wrong})")
    if texts is None:
        return
    whole = [at for at, row in enumerate(texts.rows) if _is_whole(row, new)][:_CHECKED]
    found = encode(smaller, texts.texts.take(whole), "embedding", texts.limit).rows
    for at, row in zip(whole, found, strict=True):
        if [new[number] for number in texts.rows[at]["input_ids"]] != row["input_ids"]:
            raise VocabularyError(
                f"{path}: its tokenizer cannot be trimmed, it would cut "
                f"{texts.texts.texts[at][:80]!r} otherwise"
            )
