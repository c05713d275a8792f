"""Texts as token ids, and batches of texts of like length."""

from __future__ import annotations

import os
import random
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.inputs import check_reads_texts
from prensa.checkpoint.roles import load_config, quiet_transformers
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.checkpoint.task import LANGUAGE, Kind
from prensa.errors import DataError, EvaluationError, PrensaError, first_line
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED

_UNLIMITED = 1 << 20  # what a tokenizer that knows no maximum says is far above
_CHUNK = 2000  # texts that are tokenized before progress is told
_VOCABULARIES = {"tokenizer.json", "tokenizer.model"}

Row = dict[str, list[int]]
"""What a model reads of one text: ``input_ids`` and what else its tokenizer gives, of equal length."""


@dataclass
class Encoded:
    """Texts as rows of token ids, for a kind of task.

    ``fill`` are the numbers that shorter rows are filled up with, ``mask_id`` stands for a masked piece.
    ``truncated`` counts the texts that were longer than the model reads. ``places`` are, for models of words,
    the positions of each word's first piece. ``nbytes`` are, for language models, the bytes of text that each
    piece stands for: 0 for the second piece of one character, ``IGNORED`` for the marks around a text.
    """

    kind: Kind
    side: Literal["left", "right"]
    fill: dict[str, int]
    mask_id: int | None
    rows: list[Row] = field(default_factory=list)
    places: list[list[int]] = field(default_factory=list)
    nbytes: list[list[int]] = field(default_factory=list)
    truncated: int = 0

    @property
    def lengths(self) -> list[int]:
        """Pieces of each text."""
        return [len(row["input_ids"]) for row in self.rows]


def load_tokenizer(path: Path) -> Any:
    """Load a model's tokenizer, able to pad. Raises :class:`EvaluationError` where there is none.

    Without a vocabulary file ``transformers`` gives a tokenizer that knows its special tokens alone. What the
    model's Sentence Transformers files say of texts (length, case, a prompt in front) comes with it: whoever
    reads texts has them from here. Raises :class:`~prensa.errors.ModelError` for a model that reads no
    texts.
    """
    if (path / "config.json").is_file():
        check_reads_texts(path, load_config(path))
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=allowed().remote_code)
    except Exception as error:
        reason = first_line(error)
        raise EvaluationError(
            f"{path}: no usable tokenizer ({reason}); copy the tokenizer's files there, or, for a "
            "SentencePiece model, run pip install 'prensa[evaluate]'"
        ) from error
    files = set(tokenizer.vocab_files_names.values())
    if files and not any((path / name).is_file() for name in files | _VOCABULARIES):
        raise EvaluationError(
            f"{path}: no tokenizer, expected one of {', '.join(sorted(files | _VOCABULARIES))}; "
            "copy it from the model that this one was made from"
        )
    if tokenizer.pad_token is None:  # its value does not matter behind an attention mask
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise EvaluationError(f"{path}: the tokenizer names no token to pad with; set pad_token")
    _follow_sentence_transformers(path, tokenizer)
    return tokenizer


def _follow_sentence_transformers(path: Path, tokenizer: Any) -> None:
    chain = read_chain(path)
    if chain is None:
        return
    if chain.max_length is not None:  # even where the tokenizer's own files allow fewer
        tokenizer.model_max_length = chain.max_length
    if chain.lowers_case:
        _lower_case(tokenizer)
    tokenizer.prompt = chain.default_prompt  # an attribute of ours; see ``encode``


def _lower_case(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        tokenizer.do_lower_case = True
        return
    own = tokenizer.backend_tokenizer.normalizer
    rest = [] if own is None else [own]
    tokenizer.backend_tokenizer.normalizer = Normalizers([Lowercase(), *rest])


def longest(tokenizer: Any, config: Any, wanted: int | None) -> int | None:
    """Return how many tokens the model reads of a text, None where there is no maximum.

    ``wanted`` may ask for fewer. Raises :class:`EvaluationError` where it asks for more.
    """
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if config.model_type in _RELATIVE_POSITIONS and tokenizer.model_max_length < _UNLIMITED:
        positions = None
    if positions and config.model_type in _OFFSET_POSITIONS:
        positions -= config.pad_token_id + 1
    known = [size for size in (tokenizer.model_max_length, positions) if size and 0 < size < _UNLIMITED]
    limit = min(known, default=None)
    if wanted is not None and limit is not None and wanted > limit:
        raise EvaluationError(f"--max-length {wanted}: the model reads at most {limit} tokens")
    marks = tokenizer.num_special_tokens_to_add(pair=True)
    if wanted is not None and wanted <= marks:
        raise EvaluationError(
            f"--max-length {wanted}: expected more than {marks}, the marks that stand around a text"
        )
    return wanted or limit


def check_ids(path: Path, largest: int, rows: int | None, error: type[PrensaError] = EvaluationError) -> None:
    """Raise ``error`` where a tokenizer gives an id that the model has no row for.

    PyTorch ends in an index error then, and other runtimes answer something. ``rows`` is None for a model
    without such a table.
    """
    if rows is not None and largest >= rows:
        raise error(
            f"{path}: the tokenizer gives the id {largest}, but the model's embedding has {rows} rows; "
            "use the tokenizer that the model was trained with, or resize the model"
        )


def embedding_rows(config: Any) -> int | None:
    """Return how many ids a model has a row for, None where it has no table of them (CANINE)."""
    try:
        rows = getattr(config.get_text_config(), "vocab_size", None)
    except ValueError:  # several texts are read, each with its own table
        return None
    return rows if isinstance(rows, int) else None


def largest_id(encoded: Encoded) -> int:
    """Return the largest id that a model will see: in texts, between them, or in place of a masked token."""
    ids = [max(row["input_ids"]) for row in encoded.rows]
    return max(*ids, encoded.fill["input_ids"], encoded.mask_id or 0 if encoded.kind == "masked" else 0)


# Models that count positions from behind the padding token's id, as fairseq did.
_OFFSET_POSITIONS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet", "esm"),
    *("longformer", "data2vec-text", "ibert", "luke", "xmod", "lilt", "markuplm"),
}

# Models that know distances alone: what their config calls positions is the length of training texts.
_RELATIVE_POSITIONS = {"t5", "mt5", "umt5", "longt5"}

# A classifier reads the last piece or the first, and its tokenizer knows where the rest may go.
_PADDED_LIKE_THEIR_TOKENIZER = {"classes", "multi-label", "regression"}


def encode(
    tokenizer: Any,
    texts: Texts,
    kind: Kind,
    limit: int | None,
    step: Callable[[int, int], None] = lambda done, total: None,
    *,
    prompt: str | None = None,
) -> Encoded:
    """Turn texts into token ids, cut where they are longer than ``limit``.

    ``prompt`` stands before each text, by default the model's own (see :func:`load_tokenizer`). ``step`` is
    told how many of how many texts are done. Raises :class:`EvaluationError` where the task needs to know
    which piece comes from where and the tokenizer cannot tell, and :class:`DataError` where words and labels
    do not match in number.
    """
    if kind in {"tokens", *LANGUAGE} and not tokenizer.is_fast:
        raise EvaluationError(f"{tokenizer.name_or_path}: comparing this task needs a tokenizer.json")
    if kind == "tokens":
        texts = replace(texts, words=texts.words or tuple(tuple(text.split()) for text in texts.texts))
        _match_words(texts)
    elif kind not in LANGUAGE:
        texts = _with_prompt(texts, getattr(tokenizer, "prompt", "") if prompt is None else prompt)
    encoded = unread(tokenizer, kind)
    for start in range(0, len(texts), _CHUNK):
        _encode(tokenizer, texts.take(range(start, min(start + _CHUNK, len(texts)))), limit, encoded)
        step(len(encoded.rows), len(texts))
    return encoded


def unread(tokenizer: Any, kind: Kind) -> Encoded:
    """Return no texts yet, and how they will be padded."""
    return Encoded(
        kind,
        side="left" if kind in _PADDED_LIKE_THEIR_TOKENIZER and tokenizer.padding_side == "left" else "right",
        fill={"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id},
        mask_id=tokenizer.mask_token_id,
    )


def row_at(tokenizer: Any, found: Any, index: int) -> Row:
    """Return what a model reads of one of the texts in a tokenizer's output: at least one token."""
    keys = [key for key in tokenizer.model_input_names if key in found]
    if found["input_ids"][index]:
        return {key: found[key][index] for key in keys}
    # an empty text without marks around it
    return {key: [tokenizer.pad_token_id if key == "input_ids" else 1] for key in keys}


def _with_prompt(texts: Texts, prompt: str) -> Texts:
    return replace(texts, texts=tuple(prompt + text for text in texts.texts)) if prompt else texts


def _encode(tokenizer: Any, texts: Texts, limit: int | None, encoded: Encoded) -> None:
    """Append some texts to ``encoded``."""
    words = texts.words if encoded.kind == "tokens" else None
    needs_bytes = encoded.kind in LANGUAGE
    with alone(tokenizer):
        found = tokenizer(
            list(words or texts.texts),
            list(texts.pairs) if texts.pairs and not words else None,
            is_split_into_words=words is not None,
            truncation=limit is not None,
            max_length=limit,
            return_offsets_mapping=needs_bytes,
            return_special_tokens_mask=needs_bytes,
            verbose=False,
        )
    for index, text in enumerate(texts.texts):
        encoded.rows.append(row_at(tokenizer, found, index))
        if words:
            encoded.places.append(_first_pieces(found.word_ids(index)))
        if needs_bytes:
            encoded.nbytes.append(_piece_bytes(text, found, index))
    if tokenizer.is_fast:
        encoded.truncated += sum(bool(each.overflowing) for each in found.encodings)
    elif limit is not None:
        with alone(tokenizer):
            whole = tokenizer(list(texts.texts), list(texts.pairs) if texts.pairs else None, verbose=False)
        encoded.truncated += sum(len(ids) > limit for ids in whole["input_ids"])


_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
os.register_at_fork(after_in_child=_locks.clear)  # another thread may have held one


def alone(tokenizer: Any) -> threading.RLock:
    """Return a tokenizer's lock, for ``with``: each call sets how that tokenizer truncates from then on."""
    return _locks.setdefault(tokenizer, threading.RLock())


def batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Put texts of like length together: lists of up to ``size`` indices.

    The longest come first, so that what does not fit into memory fails at once. The rest is in random order,
    the same one every time: what was measured by any moment is a fair sample of all.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    rest = parts[1:]
    random.Random(0).shuffle(rest)  # noqa: S311
    return parts[:1] + rest


def pad(rows: Sequence[Row], encoded: Encoded, device: torch.device | str) -> dict[str, Tensor]:
    """Put rows into tensors ``[rows, longest]``."""
    return {
        key: pad_sequence(
            [torch.tensor(row[key]) for row in rows],
            batch_first=True,
            padding_value=encoded.fill.get(key, 0),
            padding_side=encoded.side,
        ).to(device)
        for key in rows[0]
    }


def _match_words(texts: Texts) -> None:
    for row, (words, labels) in enumerate(zip(texts.words or (), texts.labels or (), strict=False), 1):
        if len(words) != len(labels):
            raise DataError(
                f"{texts.name}: row {row} has {len(words)} words and {len(labels)} labels; "
                "expected one label for each word"
            )


def _first_pieces(word_ids: Sequence[int | None]) -> list[int]:
    """Return the position of each word's first piece, ``IGNORED`` for words that gave none or were cut."""
    first: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, position)
    return [first.get(word, IGNORED) for word in range(max(first, default=-1) + 1)]


def _piece_bytes(text: str, full: Any, index: int) -> list[int]:
    """Count the bytes from the end of the piece before to the end of each piece."""
    counts, end = [], 0
    for (_, last), is_special in zip(
        full["offset_mapping"][index], full["special_tokens_mask"][index], strict=True
    ):
        stop = end if is_special else max(end, last)
        counts.append(IGNORED if is_special else len(text[end:stop].encode()))
        end = stop
    return counts
