"""The texts of a distillation as batches: those that are learnt from, and those that are kept apart.

A batch has texts of about one length and about as many tokens as any other, and it stays what it is: only
the order of batches changes from one round to the next. So what the teacher says about a batch is asked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Encoded, Row, pad

NUMBER = "number"
"""Under this key a batch has its number beside its tensors, by which answers to it are known."""

# One text of so many is kept apart, within these bounds: what a few say is chance, and many take time.
_APART = 20
_FEWEST_APART, _MOST_APART = 20, 500
# Reading them again and again is to be a small part of the time, but of fewer than a hundred chance decides.
_APART_A_SECOND, _APART_AT_ONCE = 0.5, 100
# Of the tokens, as in BERT's training (Devlin et al., arXiv 1810.04805, section 3.1).
_MASKED_SHARE = 0.15

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Lessons(Dataset[dict[str, Tensor | int]]):
    """Batches of texts, each an item of a data set of PyTorch: sampled, shuffled and shared out as such.

    ``first`` is the number of the first one. ``masked`` says that some tokens are masked, for a model that
    guesses those.
    """

    encoded: Encoded
    indices: Sequence[Sequence[int]]
    first: int
    seed: int
    masked: bool

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Tensor | int]:
        """Return tensors ``[texts, tokens]`` by their names, and the batch's number."""
        return {NUMBER: self.first + index, **self.batch(index)}

    def batch(self, index: int) -> Batch:
        """Return the tensors alone, always with an attention mask."""
        rows = [self.encoded.rows[text] for text in self.indices[index]]
        batch = pad(rows, self.encoded, "cpu")
        # A tokenizer may give no mask, and what is padding has to be known.
        if "attention_mask" not in batch:
            batch["attention_mask"] = _mask_of(rows, batch["input_ids"], self.encoded)
        if self.masked:
            self._mask_some(batch, self.first + index)
        return batch

    @property
    def texts(self) -> int:
        """Count the texts."""
        return sum(map(len, self.indices))

    def _mask_some(self, batch: Batch, number: int) -> None:
        """Put the mask token in place of some tokens, the same ones in every round."""
        if self.encoded.mask_id is None:
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        ids = batch["input_ids"]
        drawn = torch.rand(ids.shape, generator=generator) < _MASKED_SHARE
        chosen = drawn & batch["attention_mask"].bool()
        batch["input_ids"] = ids.masked_fill(chosen, self.encoded.mask_id)


def lessons_of(
    encoded: Encoded, tokens: int, seed: int, seconds: float, *, masked: bool
) -> tuple[Lessons, Lessons]:
    """Return what is learnt from and what is kept apart, in batches of ``tokens``, padding included.

    Kept apart are 5 % of the texts, 20 to 500, and no more than 100 or one for every two of the ``seconds``.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(encoded.rows)
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    affordable = max(_APART_AT_ONCE, int(seconds * _APART_A_SECOND))
    apart = max(_FEWEST_APART, min(_MOST_APART, affordable, count // _APART))
    kept = _batches(encoded, order[:apart], tokens)
    # By drawn order, so that texts of one length are mixed, and not neighbours in their file.
    learnt = _batches(encoded, order[apart:], tokens)
    return (
        Lessons(encoded, learnt, len(kept), seed, masked),
        Lessons(encoded, kept, 0, seed, masked),
    )


def only(items: Sequence[dict[str, Tensor | int]]) -> dict[str, Tensor | int]:
    """Return the one item of a list: a loader's batch of one batch."""
    (item,) = items
    return item


def _batches(encoded: Encoded, texts: Sequence[int], tokens: int) -> list[list[int]]:
    lengths = encoded.lengths
    own_lengths = [lengths[text] for text in texts]
    batches: list[list[int]] = []
    for places in by_tokens(own_lengths, tokens):
        batches.append([texts[place] for place in places])
    return batches


def _mask_of(rows: Sequence[Row], ids: Tensor, encoded: Encoded) -> Tensor:
    """Return a mask ``[texts, tokens]``: 1 where a row has a token."""
    ones: list[Row] = [{"attention_mask": [1] * len(row["input_ids"])} for row in rows]
    return pad(ones, encoded, ids.device)["attention_mask"]
