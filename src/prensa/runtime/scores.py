"""What attention does with its scores, in the memory that they are in already where nothing else needs them.

Scores are the largest tensors of a layer. A new one for each step has to be fetched from the system and
written over first, which costs most on processors whose arithmetic is slow and whose memory is, too. Numbers
are the same to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def plus(scores: Tensor, term: Tensor) -> Tensor:
    """Add a term of the same shape to scores. The scores may be written over."""
    if _are_needed(scores):
        return scores + term
    return scores.add_(term)


def hide(scores: Tensor, mask: Tensor) -> Tensor:
    """Give scores their lowest number where ``mask``, which may have fewer dimensions, is true.

    Not infinity: a row in which nothing may be seen would then give no number. The scores may be written
    over.
    """
    lowest = torch.finfo(scores.dtype).min
    if _are_needed(scores):
        return scores.masked_fill(mask, lowest)
    return scores.masked_fill_(mask, lowest)


def shares_of(scores: Tensor) -> Tensor:
    """Return the softmax over the last dimension. The scores may be written over."""
    if _are_needed(scores):
        return torch.softmax(scores, dim=-1)
    # A processor's kernel goes row by row, and has read a row before it writes it.
    return torch.softmax(scores, dim=-1, out=scores)


def _are_needed(scores: Tensor) -> bool:
    """Whether scores must stay as they are, or it is better if they do."""
    # Gradients are computed from what was there before.
    if torch.is_grad_enabled():
        return True
    # Autocast chooses a dtype for each result, and what is written over has one. On accelerators memory is
    # fast, and their kernels do not promise to have read what they write.
    if scores.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return True
    # Graphs are to have steps that other runtimes know.
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def by_offset(vectors: Tensor, table: Tensor, positions: Tensor, tokens: int) -> Tensor:
    """Multiply vectors ``[heads, batch, rows, size]`` with the table's row for every offset.

    ``positions`` ``[rows + tokens]`` name those rows for the offsets 1 − rows … tokens; the last one is never
    used. The result ``[heads, batch, rows, tokens]`` has, for vector i and token j, what belongs to j − i.
    """
    heads, batch, rows, size = vectors.shape
    offsets = rows + tokens
    left = vectors.reshape(heads, batch * rows, size)
    right = table[:, positions].transpose(1, 2)
    # [heads, batch · rows, offsets]
    every = torch.bmm(left, right)
    # Vector i has offset j − i in column rows − 1 + j − i. Read as rows that are one number shorter, from
    # number rows − 1 on, each row starts one column earlier than the one before: column j is token j in all.
    flat = every.view(heads, batch, rows * offsets)
    flat = flat[..., rows - 1 : -1]
    shifted = flat.view(heads, batch, rows, offsets - 1)
    return shifted[..., :tokens]
