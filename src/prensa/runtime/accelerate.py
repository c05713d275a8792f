"""Make a loaded PyTorch model faster without changing what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from prensa.isolation import as_usual
from prensa.runtime.deberta import fold, foldings_of, unfold
from prensa.runtime.first import read_first_alone
from prensa.runtime.gain import folding_gain
from prensa.runtime.sharing import sharing_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Acceleration:
    """What was done to a model; ``layers`` of it were folded.

    ``gain`` is how many times as fast folding makes it here, below 1 where it was left as it was; None where
    that was not measured.
    """

    model: PreTrainedModel
    layers: int
    gain: float | None = None

    def __str__(self) -> str:
        """Say it in one sentence."""
        name = type(self.model).__name__
        if not self.layers and self.gain is not None:
            return f"{name}: left as it was, folding is slower on this processor ({self.gain:.2f}x)"
        if not self.layers:
            return f"{name}: nothing to fold, it runs as it was"
        return f"{name}: positions are projected once and for all in {self.layers} layers"

    def undo(self) -> None:
        """Give the model its own modules back."""
        unfold(self.model)


@as_usual()
def accelerate(model: PreTrainedModel, *, measure: bool = True) -> Acceleration:
    """Fold the attention of DeBERTa (versions 1 to 3) in place; other models are left as they are.

    Where folding is slower, which some processors are, the model is left as it was: two of its layers are
    timed in both ways for a fraction of a second first, while no other thread may use the model. Without
    ``measure`` it is folded in any case.

    Answers stay the same up to rounding (1e-5 in float32), and so do the names of all weights. Load weights
    before, not after. Raises :class:`~prensa.errors.ModelError` for a model in training mode.
    """
    foldings = foldings_of(model)
    gain = None
    if foldings and measure:
        gain = folding_gain(foldings)
        if gain < 1:
            return Acceleration(model, 0, gain)
    layers = 0
    for folding in foldings:
        folding.install()
        layers += len(folding.attentions)
    return Acceleration(model, layers, gain)


def accelerate_answers(model: PreTrainedModel, *, folded: bool = True) -> None:
    """Make a model that will do nothing but answer faster in place: without what no answer needs.

    It is folded, too, unless the caller knows that this is slower here.
    """
    if folded:
        fold(model)
    read_first_alone(model)


def folded_twin(model: object) -> list[PreTrainedModel]:
    """Return a folded model beside a PyTorch model, on the same weights; an empty list if nothing folds."""
    if not isinstance(model, nn.Module):
        return []
    twin = sharing_weights(model)
    if not fold(twin):
        return []
    return [twin]
