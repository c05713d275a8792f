"""Which tokens stay: counted in the texts, with what they need, before a weight is read."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.config import read_config
from prensa.checkpoint.manifest import VocabularyReport
from prensa.checkpoint.roles import load_config
from prensa.errors import DataError, SettingError, TokenizerError
from prensa.files.temporary import temporary_directory
from prensa.progress import Progress, silent
from prensa.texts.columns import Texts, sample
from prensa.texts.encoding import Row, encode
from prensa.texts.library import COUNTED, Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer, longest
from prensa.vocabulary.content import Content, tokens_of
from prensa.vocabulary.files import named_tokens, new_config, rows_of, tokenizer_files
from prensa.vocabulary.scripts import written_in
from prensa.vocabulary.settings import TrimVocabulary
from prensa.vocabulary.tokenizer import family_of, read_content, trimmed

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# How vocabularies write a space, and that a token continues a word: a token of these alone says nothing.
_SPACES = "▁Ġ#"
# Texts that must be tokenized as before.
_CHECKED = 1000
# Tokens in a message.
_SHOWN = 20


@dataclass(frozen=True)
class Vocabulary:
    """A smaller vocabulary. ``report`` is what the manifest keeps of it.

    ``files`` are the tokenizer's, as they become, and ``config`` is ``config.json``. ``account`` says
    what was read of the texts.
    """

    report: VocabularyReport
    files: Mapping[str, bytes]
    config: Mapping[str, object]
    account: str = ""


@dataclass(frozen=True)
class _Counted:
    """What the deployment reads, as tokens. ``counts`` says how often each comes, without marks."""

    texts: Texts
    limit: int | None
    rows: Sequence[Row]
    counts: NDArray[np.int64]


def plan_vocabulary(
    path: Path,
    settings: TrimVocabulary,
    source: Source | None,
    *,
    library: Library,
    progress: Progress = silent,
) -> Vocabulary:
    """Choose the tokens that stay and rewrite the tokenizer. Writes nothing.

    All texts of ``source`` count, whatever its limit; None, or one without a name, counts no texts: what is
    built in is not what will be read. Raises :class:`TokenizerError` for a tokenizer that cannot be trimmed,
    :class:`SettingError` for what cannot be kept, and whatever reading texts and tokenizers raises.
    """
    if source is not None and source.name is None:
        source = None
    if source is None and not settings.languages:
        raise SettingError("`trim_vocabulary` needs to know what will be read: give `texts`, or `languages`")
    tokenizer = load_tokenizer(path)
    config = load_config(path)
    content = read_content(path, tokenizer)
    tokens = tokens_of(content)
    rows = rows_of(config)
    # Fewer is usual: models have more rows than tokens, up to a round number.
    largest = max(tokens)
    if largest >= rows:
        raise TokenizerError(
            f"{path}: the tokenizer has {largest + 1:,} tokens, the model {rows:,} rows for them; the "
            "two do not belong together"
        )
    unknown = [token for token in tokenizer.all_special_tokens if token not in tokens.values()]
    if unknown:
        raise TokenizerError(
            f"{path}: tokenizer.json does not have the token {unknown[0]!r}, which tokenizer_config.json "
            "names; save the tokenizer with save_pretrained, so that both say the same"
        )
    counted = None
    if source is not None:
        limit = longest(tokenizer, config, None)
        counted = _count(tokenizer, limit, source, rows, library, progress)
        _check_counted(path, tokens, counted)
    always = _always(path, tokenizer, config, content, settings)
    kept = _choose(content, tokens, settings, always, counted)
    # Tokens keep their order, and the gaps close.
    new = {old: number for number, old in enumerate(kept)}
    files = tokenizer_files(path, tokenizer, trimmed(content, new), new)
    changed = new_config(read_config(path), config, new)
    account = ""
    if counted is not None:
        account = counted.texts.account
    vocabulary = Vocabulary(_report(rows, kept, counted), files, changed, account)
    _check(path, vocabulary, tokens, counted)
    return vocabulary


def _count(
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
    source: Source,
    rows: int,
    library: Library,
    progress: Progress,
) -> _Counted:
    """Read the texts, tokenize them as the model will, and count."""
    texts = sample(library.all_texts(source), COUNTED)
    step = functools.partial(progress, "counting tokens")
    token_rows = library.encode(tokenizer, texts, "embedding", limit, step).rows
    counts = np.zeros(rows, dtype=np.int64)
    for row in token_rows:
        # Not `counts[ids] += 1`, which counts an id that comes twice in a row once.
        np.add.at(counts, row["input_ids"], 1)
    # Marks stand around every text, and are no part of it.
    for number in tokenizer.all_special_ids:
        if number is not None:
            counts[number] = 0
    return _Counted(texts, limit, token_rows, counts)


def _check_counted(path: Path, tokens: Mapping[int, str], counted: _Counted) -> None:
    """Raise :class:`DataError` if the texts hold no token but spaces: they are in another script."""
    for number, token in tokens.items():
        if counted.counts[number] and token.strip(_SPACES):
            return
    raise DataError(f"{path}: the texts of {counted.texts.name} have no token of its vocabulary; give others")


def _report(rows: int, kept: Sequence[int], counted: _Counted | None) -> VocabularyReport:
    """Say what was kept, and what that means for the texts that were counted."""
    if counted is None:
        return VocabularyReport(
            before=rows,
            kept=tuple(kept),
            texts=None,
            counted=0,
            covered=None,
            unchanged=None,
        )
    of_kept = counted.counts[kept].sum()
    covered = of_kept / counted.counts.sum()
    new = dict.fromkeys(kept, 0)
    are_whole: list[bool] = []
    for row in counted.rows:
        are_whole.append(_is_whole(row, new))
    return VocabularyReport(
        before=rows,
        kept=tuple(kept),
        texts=counted.texts.name,
        counted=len(counted.rows),
        covered=float(covered),
        unchanged=float(np.mean(are_whole)),
    )


def _always(
    path: Path,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    content: Content,
    settings: TrimVocabulary,
) -> set[int]:
    """Return what stays whatever the texts say."""
    tokens = tokens_of(content)
    always = family_of(content).always(content["model"])
    for added in content["added_tokens"]:
        always.add(added["id"])
    for number in tokenizer.all_special_ids:
        if number is not None:
            always.add(number)
    # A config may name numbers that its tokenizer does not have.
    always |= named_tokens(path, config) & tokens.keys()
    always |= _numbers_of(path, tokens, settings.keep)
    # What a chat's template writes around messages is in no text.
    template = tokenizer.chat_template or ""
    templates: Iterable[str] = [template]
    if isinstance(template, dict):
        templates = template.values()
    for text in templates:
        if text:
            always.update(tokenizer.encode(text))
    return always


def _numbers_of(path: Path, tokens: Mapping[int, str], keep: Sequence[str]) -> set[int]:
    """Return the numbers of tokens to keep. Raises :class:`SettingError` for those that do not exist."""
    numbers: dict[str, int] = {}
    for number, token in tokens.items():
        numbers[token] = number
    unknown = [token for token in keep if token not in numbers]
    if unknown:
        shown = ", ".join(map(repr, unknown[:_SHOWN]))
        if len(unknown) > _SHOWN:
            shown += " …"
        raise SettingError(f"{path}: tokens to `keep` that are not in the vocabulary: {shown}")
    return set(map(numbers.__getitem__, keep))


def _choose(
    content: Content,
    tokens: Mapping[int, str],
    settings: TrimVocabulary,
    always: Iterable[int],
    counted: _Counted | None,
) -> list[int]:
    """Return the numbers of the tokens that stay, in their order."""
    # What must stay needs others, too: all of them come before any choice.
    needs = _needs(content)
    kept: set[int] = set()
    for number in always:
        kept |= needs(number)
    most = settings.pieces or len(tokens)
    if len(kept) > most:
        raise SettingError(
            f"`trim_vocabulary` {most:,}: {len(kept):,} tokens must stay (marks, single characters and "
            "bytes, and those of `keep`); give a larger number"
        )
    for number in _wanted(tokens, settings, counted, kept):
        more = needs(number) - kept
        # A token without what it is made of would never come out of a text.
        if len(kept) + len(more) > most:
            break
        kept |= more
    return sorted(kept)


def _needs(content: Content) -> Callable[[int], frozenset[int]]:
    """Return a function from a token to those it is made of, itself too; added ones are made of nothing."""
    parts = family_of(content).parts(content["model"])
    # They are cut out of a text before its words are tokenized.
    added = {token["id"] for token in content["added_tokens"]}

    def needs(number: int) -> frozenset[int]:
        if number in added:
            return frozenset([number])
        return parts(number)

    return needs


def _wanted(
    tokens: Mapping[int, str], settings: TrimVocabulary, counted: _Counted | None, kept: set[int]
) -> Iterator[int]:
    """Name tokens in the order of their worth: those of the texts, the most used first, then the languages'.

    If a number of tokens was given, without languages, all others follow: vocabularies begin with the
    tokens that are used most. ``kept`` grows meanwhile by what was named and what it needs.
    """
    if counted is not None:
        yield from _most_used(counted.counts, settings.coverage, kept)
    if settings.languages:
        is_written = written_in(settings.languages)
        for number in sorted(tokens):
            if is_written(tokens[number]):
                yield number
    elif settings.pieces:
        yield from sorted(tokens)


def _most_used(counts: NDArray[np.int64], coverage: float, kept: set[int]) -> Iterator[int]:
    """Name the tokens of the texts, the most used first, until they make up the share ``coverage``."""
    # Stable: of tokens that come as often, the lower number goes first, whatever the machine.
    order = np.argsort(-counts, kind="stable")
    count = int((counts > 0).sum())
    used = order[:count]
    total = counts.sum()
    covered = counts[sorted(kept)].sum()
    for number in used.tolist():
        if covered >= coverage * total:
            break
        if number not in kept:
            covered += counts[number]
        yield number


def _is_whole(row: Row, new: Mapping[int, int]) -> bool:
    """Whether all tokens of a text stay."""
    return all(number in new for number in row["input_ids"])


def _check(path: Path, vocabulary: Vocabulary, tokens: Mapping[int, str], counted: _Counted | None) -> None:
    """Load the new tokenizer and see that it numbers its tokens, and tokenizes texts, as it must."""
    new = {old: number for number, old in enumerate(vocabulary.report.kept)}
    with temporary_directory() as directory:
        for name, content in vocabulary.files.items():
            (directory / name).write_bytes(content)
        config = json.dumps(dict(vocabulary.config))
        (directory / "config.json").write_text(config, encoding="utf-8")
        smaller = load_tokenizer(directory)
    # A model may name numbers that no token has; these stay numbers without a token.
    expected: dict[str, int] = {}
    for old, number in new.items():
        if old in tokens:
            expected[tokens[old]] = number
    numbers = smaller.get_vocab()
    if numbers != expected:
        differences = set(numbers.items()) ^ set(expected.items())
        wrong = sorted(differences)[:3]
        raise TokenizerError(f"{path}: its tokenizer cannot be trimmed, tokens get other numbers ({wrong})")
    if counted is not None:
        _check_texts(path, smaller, new, counted)


def _check_texts(
    path: Path, smaller: PreTrainedTokenizerBase, new: Mapping[int, int], counted: _Counted
) -> None:
    """Raise :class:`TokenizerError` if a text all of whose tokens stay gets others."""
    # The first ones are as good as any: texts that lost a token must change, and say nothing.
    whole: list[int] = []
    for at, row in enumerate(counted.rows):
        if len(whole) < _CHECKED and _is_whole(row, new):
            whole.append(at)
    texts = counted.texts.take(whole)
    rows = encode(smaller, texts, "embedding", counted.limit).rows
    for at, row in zip(whole, rows, strict=True):
        expected = [new[number] for number in counted.rows[at]["input_ids"]]
        if expected != row["input_ids"]:
            text = counted.texts.texts[at][:80]
            raise TokenizerError(
                f"{path}: its tokenizer cannot be trimmed, it would tokenize {text!r} differently"
            )
