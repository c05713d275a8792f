"""On which texts a shrunk model learns from its original, and for how long: known before a weight is read."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prensa.checkpoint.kinds import LANGUAGE, Kind
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.distilling.loggers import loggers
from prensa.errors import DataError, ModelError, SettingError
from prensa.extras import require
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.texts.columns import Texts, sample
from prensa.texts.encoding import Encoded, Row
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer, longest

FEWEST = 200
"""Different texts that are needed at least: with fewer a model learns them, and not what it is to do."""

# Tokens of a text; what is behind is more of the same, and attention to it takes more than its share of time.
_LONGEST = 256
# Texts that are read for each second: more than a processor comes through, and few enough to tokenize.
_TEXTS_A_SECOND = 100
_FEWEST_READ, _MOST_READ = 2_000, 200_000
# Tokens of a step. What a DeBERTa does with its relative positions costs the same for any number of texts.
_TOKENS = 2048
# Batches of a step. The texts of one have about the same length, those of two do not: a step learns more.
_BATCHES = 2
# Of language models, whose answers are as many numbers for each token as there are tokens.
_TOKENS_OF_LANGUAGE = 1024


_Tokens = tuple[tuple[int, ...], ...]
"""A text as a model reads it. Of a pair, which text a token belongs to makes a difference, too."""


@dataclass(frozen=True)
class DistillPlan:
    """What a student learns from, and how.

    ``kind`` is None for a task that Prensa does not compare (question answering is one). ``encoded`` are
    different texts of at most 256 tokens, those kept apart included; ``left_out`` others are what the result
    is judged by. Training ends after ``seconds`` or,
    where ``steps`` is not None, after that many steps, without a look at the clock: only then do the same
    texts, student and ``seed`` give the same bytes again. ``batch_tokens`` go through the student at once,
    padding included, and ``accumulate`` such batches make a step.
    """

    path: Path
    kind: Kind | None
    encoded: Encoded
    seconds: float
    seed: int = 0
    learning_rate: float = 1e-4
    batch_tokens: int = _TOKENS
    accumulate: int = _BATCHES
    steps: int | None = None
    source: str = ""
    account: str = ""
    left_out: int = 0

    def __post_init__(self) -> None:
        """Check the ranges. Raises :class:`SettingError`."""
        check_seconds(self.seconds)
        numbers = {"batch_tokens": self.batch_tokens, "accumulate": self.accumulate, "steps": self.steps}
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise SettingError(f"`{name}` must be at least 1, found {number}")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise SettingError(f"learning_rate must be above 0, found {self.learning_rate}")


def plan_distillation(
    path: Path,
    source: Source,
    *,
    seconds: float,
    library: Library,
    steps: int | None = None,
    progress: Progress = silent,
    option: str = "distill",
    judged: Texts | None = None,
) -> DistillPlan:
    """Read texts without labels and tokenize them as the model at ``path`` reads them.

    ``source.limit`` texts are read, if None as many as can be learnt from in ``seconds``. Of them those that
    are ``judged`` are left out: what has learnt the answers to the exam proves nothing. ``option`` is what
    messages call it. Raises
    :class:`~prensa.errors.SettingError` for a time that is not positive or a logger that is not installed,
    :class:`~prensa.errors.MissingPackageError` without ``accelerate``,
    :class:`~prensa.errors.DataError` for fewer than 200 different texts,
    :class:`~prensa.errors.ModelError` for a model that writes with a second half, and whatever reading texts
    and tokenizers raises.
    """
    check_seconds(seconds, option)
    require("distill", "distilling" if option == "distill" else f"`{option}`")
    # One that is missing is known before a weight is read, and not when training begins.
    loggers()
    check_names(path)
    config = load_config(path)
    kind = None
    task = task_of(config)
    if task is not None:
        kind = task.kind
    elif config.is_encoder_decoder:
        raise ModelError(
            f"{path}: an encoder with a decoder, which does not answer texts alone; leave `{option}` out"
        )
    # What it cannot compute it refuses now, and not after the model was loaded.
    read_text_vector(path, kind)
    tokenizer = load_tokenizer(path)
    texts = library.all_texts(source, task)
    check_count(len(texts), texts.name, option)
    chosen = sample(texts, _count(source, seconds))
    limit = min(longest(tokenizer, config, None) or _LONGEST, _LONGEST)
    step = functools.partial(progress, "reading texts to learn from")
    read_as = _read_as(kind)
    encoded = library.encode(tokenizer, chosen, read_as, limit, step)
    different = _different(encoded.rows)
    count = len(different)
    name = texts.name
    if judged is not None:
        for key in _different(library.encode(tokenizer, judged, read_as, limit).rows):
            different.pop(key, None)
        name = f"{name}, without the {count - len(different):,} texts that the budget is judged by"
    rows = list(different.values())
    check_count(len(rows), name, option)
    tokens = _TOKENS
    if kind in LANGUAGE:
        tokens = _TOKENS_OF_LANGUAGE
    return DistillPlan(
        path=path,
        kind=kind,
        # Places and bytes belong to rows that may be gone, and answers are compared at all tokens.
        encoded=replace(encoded, rows=rows, places=[], nbytes=[]),
        seconds=seconds,
        batch_tokens=tokens,
        steps=steps,
        source=texts.name,
        account=texts.account,
        left_out=count - len(rows),
    )


def check_seconds(seconds: float, option: str = "distill") -> None:
    """Raise :class:`SettingError` for a time that is not positive."""
    if not seconds > 0 or not math.isfinite(seconds):
        raise SettingError(
            f"`{option}` must be a time above 0, found {seconds} seconds; leave it out not to {option}"
        )


def _count(source: Source, seconds: float) -> int:
    """Return how many texts are read."""
    if source.limit is not None:
        return source.limit
    wanted = math.ceil(min(seconds * _TEXTS_A_SECOND, _MOST_READ))
    return max(_FEWEST_READ, wanted)


def _read_as(kind: Kind | None) -> Kind:
    """Return the kind that texts are tokenized for."""
    # Counting the bytes of tokens takes time and is of no use here; tokens and padding are the same.
    if kind is None or kind in LANGUAGE:
        return "embedding"
    return kind


def _different(rows: Sequence[Row]) -> dict[_Tokens, Row]:
    """Return each text once, as the model reads it: what is learnt from is never what is kept apart."""
    found: dict[_Tokens, Row] = {}
    for row in rows:
        found.setdefault(tuple(tuple(values) for values in row.values()), row)
    return found


def check_count(count: int, name: str, option: str = "distill") -> None:
    """Raise :class:`DataError` for too few texts."""
    if count < FEWEST:
        raise DataError(
            f"{name}: {count} different texts are too few to learn from, expected {FEWEST} or more; "
            f"give more `texts`, with or without labels, or leave `{option}` out"
        )
