"""What a caller's function returns for a batch, as numbers that a calibration can ask about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from prensa.calibration.spread import Spread
from prensa.errors import ModelError

# Scores at or below this are masks: the usual ones are -1e4, -1e9, the least float and minus infinity.
_MASKED = -1e4


class Answers:
    """Sums over all answers: how far they lie apart.

    Each tensor that is returned is known by its place among them and by its last dimension, which may differ
    between batches (a score for each of so many labels).
    """

    def __init__(self) -> None:
        self._spreads: dict[tuple[int, int], Spread] = {}

    def add(self, outputs: Sequence[Tensor]) -> None:
        """Add what :func:`outputs_of` made of one batch's answer."""
        for place, rows in enumerate(outputs):
            # Those of an expert that a batch has left idle lie nowhere.
            if not len(rows):
                continue
            spread = self._spreads.setdefault((place, rows.shape[-1]), Spread())
            spread.add(rows)

    @property
    def variance(self) -> float:
        """The variance of all numbers together, each around the mean of its entry, summed up."""
        total = 0.0
        for spread in self._spreads.values():
            total += spread.count * spread.variance()
        return total


def outputs_of(answer: object, mask: Tensor) -> list[Tensor]:
    """Return the numbers in an answer that depend on the module, as rows ``[outputs, size]``.

    Every tensor of floats in it counts that has a gradient, those of tokens without padding. An answer
    without such tensors gives an empty list. Scores that are masked (-10,000 or less) become zero.
    Raises :class:`ModelError` for NaN and plus infinity.
    """
    outputs = []
    for tensor in _tensors_in(answer):
        if not tensor.is_floating_point() or not tensor.requires_grad:
            continue
        given = tensor
        if mask.dim() > 1 and tensor.shape[: mask.dim()] == mask.shape:
            given = tensor[mask]
        # A vector holds one score for each text or token.
        rows = given.flatten(0, -2) if given.dim() > 1 else given.reshape(-1, 1)
        rows = rows.float()
        rows = rows.masked_fill(rows <= _MASKED, 0.0)
        if not torch.isfinite(rows).all():
            raise ModelError("the answer holds NaN or infinite numbers")
        outputs.append(rows)
    return outputs


def _tensors_in(answer: object) -> Iterator[Tensor]:
    """Yield all tensors, however deep they lie; transformers' outputs are mappings."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping):
        for value in answer.values():
            yield from _tensors_in(value)
    elif isinstance(answer, (list, tuple)):
        for value in answer:
            yield from _tensors_in(value)
