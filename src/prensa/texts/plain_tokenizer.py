"""A tokenizer by the ``tokenizers`` package alone: the same ids, without ``transformers`` and PyTorch.

What ``transformers`` adds to ``tokenizer.json`` is little: how texts are truncated and which side they are
padded on. :func:`traits_of` says what that is for a tokenizer, and None for one that does more, such as
changing the content of its file or splitting texts in Python. Whoever keeps the traits can do without the
original from then on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tokenizers import Encoding, Tokenizer

from prensa.errors import TokenizerError, first_line
from prensa.texts.pair_truncation import LONGEST_FIRST, pair_truncation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "tokenizer.json"

Text: TypeAlias = "str | Sequence[str]"
"""A text, or its words."""

# What of a tokenizer of transformers must be the library's own, so that the traits are all that it adds.
_OWN = (
    "__call__",
    "_encode_plus",
    "_batch_encode_plus",
    "_convert_encoding",
    "set_truncation_and_padding",
    "num_special_tokens_to_add",
)
_ATTRIBUTES = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
}
"""What a ``BatchEncoding`` calls the lists of an ``Encoding``."""

_OPTIONAL = {"token_type_ids", "attention_mask"}
# What truncates and pads is a state of the last call.
_STATES = ("truncation", "padding")


@dataclass(frozen=True)
class Traits:
    """What ``transformers`` adds to the content of ``tokenizer.json``. ``prompt`` stands before each text."""

    inputs: tuple[str, ...]
    padding_side: str
    truncation_side: str
    pad_id: int
    pad_type_id: int
    cls_id: int | None
    mask_id: int | None
    prompt: str = ""
    pair_truncation: str = LONGEST_FIRST


class Batch:
    """The tokens of some texts, by the names that a ``BatchEncoding`` has for lists of them."""

    def __init__(self, encodings: list[Encoding], inputs: Sequence[str]) -> None:
        """Hold what ``tokenizers`` has made; ``inputs`` are the names of what a model reads of it."""
        self.encodings = encodings
        self._inputs = inputs
        self._lists: dict[str, list[list[int]]] = {}

    def __getitem__(self, name: str) -> list[list[int]]:
        # Made once: callers take the list of one text after the other, and making them reads all texts.
        if name not in self._lists:
            attribute = _ATTRIBUTES[name]
            self._lists[name] = [getattr(encoding, attribute) for encoding in self.encodings]
        return self._lists[name]

    def __contains__(self, name: object) -> bool:
        return name in _ATTRIBUTES and (name in self._inputs or name not in _OPTIONAL)

    def word_ids(self, index: int = 0) -> list[int | None]:
        """Return which word each token of a text belongs to, None for marks."""
        return list(self.encodings[index].word_ids)

    def sequence_ids(self, index: int = 0) -> list[int | None]:
        """Return whether each token is of the first text (0) or the second (1), None for marks."""
        return list(self.encodings[index].sequence_ids)


class PlainTokenizer:
    """Tokenizes as a fast tokenizer of ``transformers`` with the same traits, called with many texts."""

    is_fast = True
    split_special_tokens = False

    def __init__(self, path: Path, traits: Traits) -> None:
        """Read ``tokenizer.json``. Raises :class:`TokenizerError` where it is damaged or missing."""
        try:
            self.backend_tokenizer = Tokenizer.from_file(os.fspath(path / FILE))
        except Exception as error:
            raise TokenizerError(
                f"{path / FILE}: not usable ({first_line(error)}); export the model again"
            ) from error
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()
        self.name_or_path = str(path)
        self.traits = traits
        self.prompt = traits.prompt

    @property
    def model_input_names(self) -> tuple[str, ...]:
        """What a model may read."""
        return self.traits.inputs

    @property
    def pair_truncation(self) -> str:
        """Which of two texts loses tokens where both are too long."""
        return self.traits.pair_truncation

    @property
    def padding_side(self) -> str:
        """``right`` or ``left``."""
        return self.traits.padding_side

    @property
    def truncation_side(self) -> str:
        """``right`` or ``left``."""
        return self.traits.truncation_side

    @property
    def pad_token_id(self) -> int:
        """What stands behind shorter texts."""
        return self.traits.pad_id

    @property
    def pad_token_type_id(self) -> int:
        """Its type."""
        return self.traits.pad_type_id

    @property
    def cls_token_id(self) -> int | None:
        """The mark in front of a text."""
        return self.traits.cls_id

    @property
    def mask_token_id(self) -> int | None:
        """What stands for a masked token."""
        return self.traits.mask_id

    def num_special_tokens_to_add(self, *, pair: bool = False) -> int:
        """Return how many marks stand around a text, or two."""
        return int(self.backend_tokenizer.num_special_tokens_to_add(pair))

    def convert_ids_to_tokens(self, token_id: int) -> str | None:
        """Return the token of an id, None if there is none."""
        token: str | None = self.backend_tokenizer.id_to_token(token_id)
        return token

    def __call__(
        self,
        texts: Sequence[Text],
        pairs: Sequence[str] | None = None,
        *,
        is_split_into_words: bool = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        stride: int = 0,
        add_special_tokens: bool = True,
        return_overflowing_tokens: bool = False,
        **_: bool,
    ) -> Batch:
        """Tokenize some texts, or pairs of them.

        The other settings of ``transformers`` say what else is wanted; here everything is there.
        """
        self._set_truncation(truncation, max_length, stride)
        together = texts if pairs is None else list(zip(texts, pairs, strict=True))
        found = self.backend_tokenizer.encode_batch(
            together, is_pretokenized=is_split_into_words, add_special_tokens=add_special_tokens
        )
        encodings: list[Encoding] = []
        for encoding in found:
            encodings.append(encoding)
            if return_overflowing_tokens:
                encodings += encoding.overflowing
        return Batch(encodings, self.traits.inputs)

    def _set_truncation(self, truncation: bool | str, longest: int | None, stride: int) -> None:  # noqa: FBT001  as it is called with
        if truncation is False or longest is None:
            self.backend_tokenizer.no_truncation()
            return
        self.backend_tokenizer.enable_truncation(
            longest,
            stride=stride,
            strategy=LONGEST_FIRST if truncation is True else truncation,
            direction=self.traits.truncation_side,
        )


def traits_of(path: Path, tokenizer: PreTrainedTokenizerBase) -> Traits | None:
    """Return what ``transformers`` adds to the ``tokenizer.json`` in ``path``, None if that is more.

    ``tokenizer`` is what it has loaded from there.
    """
    from transformers import PreTrainedTokenizerFast

    if not tokenizer.is_fast or tokenizer.split_special_tokens or not (path / FILE).is_file():
        return None
    for name in _OWN:
        if getattr(type(tokenizer), name, None) is not getattr(PreTrainedTokenizerFast, name, None):
            return None
    own = _content(Tokenizer.from_file(os.fspath(path / FILE)))
    if own != _content(tokenizer.backend_tokenizer):
        return None
    return Traits(
        inputs=tuple(tokenizer.model_input_names),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        cls_id=tokenizer.cls_token_id,
        mask_id=tokenizer.mask_token_id,
        prompt=getattr(tokenizer, "prompt", ""),
        pair_truncation=pair_truncation(tokenizer),
    )


def _content(backend: Tokenizer) -> dict[str, object]:
    """Return all that decides which ids a text gets."""
    import json

    content: dict[str, object] = json.loads(backend.to_str())
    for name in _STATES:
        content.pop(name, None)
    return content
