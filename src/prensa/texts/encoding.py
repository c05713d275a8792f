"""Texts as token ids, and batches of texts of like length."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import LANGUAGE, OF_A_TEXT, Kind, Task
from prensa.errors import DataError, TokenizerError, first_line
from prensa.texts.batches import by_tokens
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED
from prensa.texts.pair_truncation import LONGEST_FIRST, by_strategy
from prensa.texts.places import first_tokens, token_bytes
from prensa.texts.plain_tokenizer import PlainTokenizer
from prensa.texts.queries import NEITHER, Queries
from prensa.texts.reader import Reader, alone

if TYPE_CHECKING:
    import torch
    from tokenizers import Encoding
    from torch import Tensor
    from transformers import BatchEncoding, PreTrainedTokenizerBase

    from prensa.texts.plain_tokenizer import Batch

CHUNK = 2000
"""Texts that are tokenized before progress is reported."""

Row = dict[str, list[int]]
"""What a model reads of one text: ``input_ids`` and what else its tokenizer gives, of equal length."""

Step = Callable[[int, int], None]
"""Called with how many texts are done, and of how many."""


def _silent(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Tokenized:
    """One text as token ids; see :class:`Encoded` for the lists, which are None for other kinds."""

    row: Row
    is_truncated: bool
    places: list[int] | None = None
    nbytes: list[int] | None = None
    spans: list[int] | None = None


@dataclass
class Encoded:
    """Texts as rows of token ids, for a kind of task.

    ``fill`` are the numbers that shorter rows are filled up with, ``mask_id`` stands for a masked token.
    ``truncated`` counts the texts that were longer than the model reads. ``places`` are, for models of words,
    the positions of each word's first token. ``nbytes`` are, for language models, the bytes of text that each
    token stands for: 0 for the second token of one character, ``IGNORED`` for the marks around a text.
    ``spans`` are, for questions, where each token begins and ends in the context, one number after the other,
    and twice ``IGNORED`` for tokens that are not in it. ``tokenizer`` is what reads the tokens that models
    write.
    """

    kind: Kind
    side: Literal["left", "right"]
    fill: dict[str, int]
    mask_id: int | None
    rows: list[Row] = field(default_factory=list)
    places: list[list[int]] = field(default_factory=list)
    nbytes: list[list[int]] = field(default_factory=list)
    spans: list[list[int]] = field(default_factory=list)
    tokenizer: PreTrainedTokenizerBase | None = None
    truncated: int = 0

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(row["input_ids"]) for row in self.rows]

    def extend(self, texts: Iterable[Tokenized]) -> None:
        """Append texts, in their order."""
        for text in texts:
            self.rows.append(text.row)
            self.truncated += text.is_truncated
            if text.places is not None:
                self.places.append(text.places)
            if text.nbytes is not None:
                self.nbytes.append(text.nbytes)
            if text.spans is not None:
                self.spans.append(text.spans)


def largest_id(encoded: Encoded) -> int:
    """Return the largest id that a model will see: in texts, between them, or in place of a masked token."""
    largest = encoded.fill["input_ids"]
    if encoded.kind == "masked":
        largest = max(largest, encoded.mask_id or 0)
    for row in encoded.rows:
        largest_of_row = max(row["input_ids"])
        largest = max(largest, largest_of_row)
    return largest


def encode(
    tokenizer: Reader,
    texts: Texts,
    kind: Kind,
    limit: int | None,
    step: Step = _silent,
    *,
    prompt: str | None = None,
) -> Encoded:
    """Turn texts into token ids, truncated if they are longer than ``limit``.

    ``prompt`` stands before each text, by default the model's own (see :func:`load_tokenizer`). ``step`` is
    called with how many of how many texts are done. Raises :class:`TokenizerError` if the task needs to know
    which token comes from where and the tokenizer cannot say, and :class:`DataError` if words and labels do
    not match in number.
    """
    texts = prepared(tokenizer, texts, kind, prompt)
    encoded = unread(tokenizer, kind)
    for start in range(0, len(texts), CHUNK):
        end = min(start + CHUNK, len(texts))
        chunk = texts.take(range(start, end))
        encoded.extend(tokenize(tokenizer, chunk, kind, limit))
        step(end, len(texts))
    return encoded


def padded_as(task: Task | None) -> Kind:
    """Return the kind that a task's texts are tokenized for: it decides on which side they are padded."""
    # Answers of these kinds may depend on where padding is; vectors and logits of tokens do not.
    if task is not None and task.kind in OF_A_TEXT:
        return task.kind
    return "embedding"


def prepared(tokenizer: Reader, texts: Texts, kind: Kind, prompt: str | None = None) -> Texts:
    """Return texts as they are tokenized: as words for models of words, and with the prompt in front.

    Raises what :func:`encode` raises.
    """
    if kind in {"tokens", "questions", *LANGUAGE} and not tokenizer.is_fast:
        raise TokenizerError(f"{tokenizer.name_or_path}: comparing this task needs a tokenizer.json")
    if kind == "tokens":
        # A column of texts has its words between spaces.
        if not texts.words:
            words = tuple(tuple(text.split()) for text in texts.texts)
            texts = replace(texts, words=words)
        _match_words(texts)
        return texts
    # What a language model is asked to predict is the text, and nothing before it.
    if kind in LANGUAGE:
        return texts
    if texts.queries is not None and not texts.pairs:
        return _with_own_prompts(tokenizer, texts, texts.queries)
    if prompt is None:
        prompt = getattr(tokenizer, "prompt", "")
    if not prompt:
        return texts
    with_prompt = [prompt + text for text in texts.texts]
    return replace(texts, texts=tuple(with_prompt))


def _with_own_prompts(tokenizer: Reader, texts: Texts, queries: Queries) -> Texts:
    """Put in front of queries and passages what Sentence Transformers does: a prompt for each of the two."""
    of_query = getattr(tokenizer, "query_prompt", "")
    of_passage = getattr(tokenizer, "passage_prompt", "")
    with_prompt: list[str] = []
    for text, number in zip(texts.texts, queries.query_of, strict=True):
        prompt = of_passage if number == NEITHER else of_query
        with_prompt.append(prompt + text)
    return replace(texts, texts=tuple(with_prompt))


def tokenize(tokenizer: Reader, texts: Texts, kind: Kind, limit: int | None) -> list[Tokenized]:
    """Tokenize some texts that were :func:`prepared`, in one call of the tokenizer where it allows that."""
    if kind == "questions":
        return _tokenize_questions(tokenizer, texts, limit)
    words = None
    if kind == "tokens":
        words = texts.words
    if not texts.pairs or words or limit is None:
        return _tokenized(tokenizer, texts, kind, limit, LONGEST_FIRST)
    # Pairs that are truncated in one way have a call together.
    with alone(tokenizer):
        strategies = by_strategy(tokenizer, texts.texts, texts.pairs, limit)
    placed: dict[int, Tokenized] = {}
    for strategy, places in strategies.items():
        some = _tokenized(tokenizer, texts.take(places), kind, limit, strategy)
        placed.update(zip(places, some, strict=True))
    return [placed[place] for place in range(len(texts))]


def _tokenized(
    tokenizer: Reader, texts: Texts, kind: Kind, limit: int | None, strategy: str
) -> list[Tokenized]:
    """Tokenize texts in one call; of pairs that are too long ``strategy`` says which text loses tokens."""
    words = None
    if kind == "tokens":
        words = texts.words
    pairs = None
    if texts.pairs and not words:
        pairs = list(texts.pairs)
    needs_bytes = kind in LANGUAGE
    # Truncation is a state of the tokenizer that outlives the call: nobody may call it between.
    with alone(tokenizer):
        batch = tokenizer(
            list(words or texts.texts),
            pairs,
            is_split_into_words=words is not None,
            truncation=strategy if limit is not None else False,
            max_length=limit,
            return_special_tokens_mask=needs_bytes,
            verbose=False,
        )
        is_truncated = _truncated(tokenizer, texts, pairs, limit, batch)
    tokenized: list[Tokenized] = []
    for index, text in enumerate(texts.texts):
        places, nbytes = None, None
        if words:
            places = first_tokens(batch.word_ids(index))
        if needs_bytes:
            nbytes = token_bytes(
                text,
                batch.encodings[index].offsets,
                batch["special_tokens_mask"][index],
            )
        row = row_at(tokenizer, batch, index)
        tokenized.append(Tokenized(row, is_truncated[index], places, nbytes))
    return tokenized


def _tokenize_questions(tokenizer: Reader, texts: Texts, limit: int | None) -> list[Tokenized]:
    """Tokenize questions with their contexts, of which the context is truncated."""
    both = [list(texts.texts), list(texts.pairs or ())]
    context = 1
    if tokenizer.padding_side == "left":
        # Models that pad on the left were trained with the context in front.
        both.reverse()
        context = 0
    truncation: str | bool = False
    if limit is not None:
        truncation = ("only_first", "only_second")[context]
    with alone(tokenizer):
        try:
            batch = tokenizer(*both, truncation=truncation, max_length=limit, verbose=False)
        except Exception as error:
            raise DataError(
                f"{texts.name}: a question leaves no room for its context in the {limit} tokens that the "
                f"model reads ({first_line(error)}); leave long questions out"
            ) from error
    tokenized: list[Tokenized] = []
    for index in range(len(texts)):
        encoding = batch.encodings[index]
        spans: list[int] = []
        for sequence, span in zip(encoding.sequence_ids, encoding.offsets, strict=True):
            spans += span if sequence == context else (IGNORED, IGNORED)
        row = row_at(tokenizer, batch, index)
        tokenized.append(Tokenized(row, bool(encoding.overflowing), spans=spans))
    return tokenized


def unread(tokenizer: Reader, kind: Kind) -> Encoded:
    """Return no texts yet, and how they will be padded."""
    # What is read word by word is padded behind, so that places stay what they are.
    side: Literal["left", "right"] = "right"
    # A classifier reads the last token or the first, and its tokenizer knows where padding may go.
    if kind in OF_A_TEXT and tokenizer.padding_side == "left":
        side = "left"
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    writer = None
    if kind == "writing" and not isinstance(tokenizer, PlainTokenizer):
        writer = tokenizer
    return Encoded(kind, side, fill, mask_id=tokenizer.mask_token_id, tokenizer=writer)


def row_at(tokenizer: Reader, batch: BatchEncoding | Batch, index: int) -> Row:
    """Return what a model reads of one of the texts in a tokenizer's output: at least one token."""
    is_empty = not batch["input_ids"][index]
    row: Row = {}
    for key in tokenizer.model_input_names:
        if key not in batch:
            continue
        values = batch[key][index]
        if is_empty:
            # An empty text without marks around it: a model cannot read nothing.
            values = [1]
            if key == "input_ids":
                values = [tokenizer.pad_token_id]
        row[key] = values
    return row


def batches(lengths: Sequence[int], size: int, *, equal: bool = False) -> list[list[int]]:
    """Put texts of like length together, or of ``equal`` length alone: lists of up to ``size`` indices.

    The longest come first, so that what does not fit into memory fails at once. The rest is in random order,
    the same one every time: what was measured by any moment is a fair sample of all.
    """
    # So many tokens that only the number of texts counts.
    tokens = size * max(1, max(lengths, default=1))
    groups = by_tokens(lengths, tokens, most=size, equal=equal)
    rest = groups[1:]
    # A separate generator: the program's random numbers are not touched, and change nothing here.
    random.Random(0).shuffle(rest)
    return groups[:1] + rest


def padded(rows: Sequence[Row], encoded: Encoded, length: int = 0) -> dict[str, NDArray[np.int64]]:
    """Put rows into arrays ``[rows, longest]``, of at least ``length`` columns."""
    # All values of a row are as many.
    first = next(iter(rows[0]))
    columns = max(length, *(len(row[first]) for row in rows))
    arrays: dict[str, NDArray[np.int64]] = {}
    for key in rows[0]:
        # Keys without such a number are masks: 0 says that nothing stands there.
        array = np.full((len(rows), columns), encoded.fill.get(key, 0), dtype=np.int64)
        for own, row in zip(array, rows, strict=True):
            values = row[key]
            if encoded.side == "left":
                own[columns - len(values) :] = values
            else:
                own[: len(values)] = values
        arrays[key] = array
    return arrays


def pad(
    rows: Sequence[Row], encoded: Encoded, device: torch.device | str, length: int = 0
) -> dict[str, Tensor]:
    """Put rows into tensors ``[rows, longest]``, of at least ``length`` columns."""
    # Imported here: texts are tokenized without PyTorch, too.
    import torch

    arrays = padded(rows, encoded, length)
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}


def _truncated(
    tokenizer: Reader,
    texts: Texts,
    pairs: list[str] | None,
    limit: int | None,
    batch: BatchEncoding | Batch,
) -> list[bool]:
    """Return which texts are longer than ``limit``."""
    if tokenizer.is_fast:
        encodings: list[Encoding] = batch.encodings
        return [bool(encoding.overflowing) for encoding in encodings]
    if limit is None:
        return [False] * len(texts)
    # A slow tokenizer keeps nothing of what it dropped: only whole texts show their length.
    whole = tokenizer(list(texts.texts), pairs, verbose=False)
    return [len(ids) > limit for ids in whole["input_ids"]]


def _match_words(texts: Texts) -> None:
    """Raise :class:`DataError` unless each word has a label."""
    # One of the two may be missing; if both are there, there is one of each for a row.
    pairs = zip(texts.words or (), texts.labels or (), strict=False)
    for row, (words, labels) in enumerate(pairs, 1):
        if len(words) != len(labels):
            raise DataError(
                f"{texts.name}: row {row} has {len(words)} words and {len(labels)} labels; "
                "expected one label for each word"
            )
