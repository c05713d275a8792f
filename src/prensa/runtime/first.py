"""Have a classifier's last layer compute its first piece alone, where nothing reads the other ones.

What comes behind attention looks at one piece at a time, so it can be left out for pieces that no layer above
attends to: nine twelfths of that layer's products with weights. Logits stay the same. The last hidden state
loses its other pieces, so this is for models that answer, not for those that others look into.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor

from prensa.runtime.deberta import FoldedAttention

_CLASSIFIERS = {
    f"{family}ForSequenceClassification"
    for family in (
        "Bert",
        "Camembert",
        "Deberta",
        "DebertaV2",
        "DistilBert",
        "Electra",
        "Roberta",
        "XLMRoberta",
    )
}
"""Their heads take ``hidden_states[:, 0]``."""


def read_first_alone(model: Any) -> bool:
    """Cut a classifier's last layer down to its first piece, in place. Return whether the model is one."""
    layers = _layers(model)
    if not layers:
        return False
    last = layers[-1]
    if isinstance(getattr(last.attention, "self", None), FoldedAttention):
        last.forward = MethodType(_first_asks, last)  # saves its query and its scores, too
    else:
        behind = _behind_attention(last)
        behind.forward = MethodType(_first_row, behind)
    return True


def read_all(model: Any) -> None:
    """Undo :func:`read_first_alone`."""
    for layer in _layers(model)[-1:]:
        for module in (layer, _behind_attention(layer)):
            vars(module).pop("forward", None)


def _layers(model: Any) -> Any:
    """Return the layers of a classifier whose head reads the first piece, none of any other model."""
    kind = type(model)
    if kind.__name__ not in _CLASSIFIERS or not kind.__module__.startswith("transformers."):
        return []
    if getattr(model.config, "chunk_size_feed_forward", 0):
        return []  # transformers would cut that one piece into parts
    encoder = getattr(model.base_model, "encoder", None) or model.base_model.transformer
    if len(encoder.layer) == 1 and getattr(encoder, "conv", None) is not None:
        return []  # DeBERTa's convolution behind its first layer reads all pieces
    return encoder.layer


def _behind_attention(layer: Any) -> Any:
    """Return the module that what was attended to goes through next."""
    return layer.sa_layer_norm if hasattr(layer, "sa_layer_norm") else layer.attention.output


def _first_asks(layer: Any, hidden: Tensor, mask: Tensor | None, **settings: Any) -> Any:
    """Stand for the ``forward`` of a DeBERTa's layer, where only the first piece asks."""
    settings["query_states"] = hidden[:, :1]
    return type(layer).forward(layer, hidden, mask, **settings)


def _first_row(module: Any, *tensors: Tensor) -> Any:
    """Stand for the ``forward`` of a module that looks at one piece at a time."""
    return type(module).forward(module, *(tensor[:, :1] for tensor in tensors))
