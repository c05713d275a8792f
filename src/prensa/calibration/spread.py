"""How far a model's outputs lie apart, over any number of batches."""

from __future__ import annotations

import torch
from torch import Tensor


class Spread:
    """How far outputs lie apart. Sums are in float64: their squares may be large beside their differences."""

    def __init__(self) -> None:
        self.count = 0
        self._total = torch.zeros(1, dtype=torch.float64)
        self._squares = torch.zeros(1, dtype=torch.float64)

    def add(self, outputs: Tensor) -> None:
        """Add outputs ``[count, size]``."""
        outputs = outputs.detach().double().cpu()
        self.count += len(outputs)
        squares = outputs.square()
        self._total = self._total + outputs.sum(dim=0)
        self._squares = self._squares + squares.sum(dim=0)

    def plus(self, later: Spread) -> Spread:
        """Return the spread of these outputs and later ones."""
        both = Spread()
        both.count = self.count + later.count
        both._total = self._total + later._total
        both._squares = self._squares + later._squares
        return both

    def variance(self) -> float:
        """Return the variance, summed up over all entries; where all outputs are equal, their mean square."""
        mean = self._total / self.count
        mean_square = self._squares / self.count
        variance = float((mean_square - mean.square()).sum())
        if variance:
            return variance
        return float(mean_square.sum())
