"""Have a classifier's last layer compute its first token alone, where nothing reads the other ones.

What comes behind attention looks at one token at a time, so it can be left out for tokens that no layer above
attends to: nine twelfths of that layer's products with weights. Logits stay the same. The last hidden state
loses its other tokens, so this is for models that answer, not for those that others look into.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING

from torch import Tensor, nn

from prensa.runtime.deberta import FoldedAttention

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_layers import GradientCheckpointingLayer

_CLASSIFIERS = {
    "BertForSequenceClassification",
    "CamembertForSequenceClassification",
    "DebertaForSequenceClassification",
    "DebertaV2ForSequenceClassification",
    "DistilBertForSequenceClassification",
    "ElectraForSequenceClassification",
    "RobertaForSequenceClassification",
    "XLMRobertaForSequenceClassification",
}
"""Their heads take ``hidden_states[:, 0]``."""


def read_first_alone(model: PreTrainedModel) -> bool:
    """Reduce a classifier's last layer to its first token, in place. Return whether the model is one."""
    layers = _layers(model)
    if not len(layers):
        return False
    last = layers[-1]
    if isinstance(getattr(last.attention, "self", None), FoldedAttention):
        # Before its attention, which saves the queries and the scores of the other tokens, too.
        last.forward = MethodType(_query_first, last)
    else:
        behind = _behind_attention(last)
        behind.forward = MethodType(_first_row, behind)
    return True


def read_all(model: PreTrainedModel) -> None:
    """Undo :func:`read_first_alone`."""
    for layer in _layers(model)[-1:]:
        for module in (layer, _behind_attention(layer)):
            # On the instance; what its class has comes to light again.
            vars(module).pop("forward", None)


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the layers of a classifier whose head reads the first token, none of any other model."""
    nothing = nn.ModuleList()
    kind = type(model)
    # A class of that name with code of its own may read other tokens.
    if kind.__name__ not in _CLASSIFIERS or not kind.__module__.startswith("transformers."):
        return nothing
    # transformers would split that one token into chunks.
    if getattr(model.config, "chunk_size_feed_forward", 0):
        return nothing
    # DistilBERT calls its encoder a transformer.
    encoder = getattr(model.base_model, "encoder", None) or model.base_model.transformer
    # DeBERTa's convolution behind its first layer reads all tokens.
    if len(encoder.layer) == 1 and getattr(encoder, "conv", None) is not None:
        return nothing
    layers: nn.ModuleList = encoder.layer
    return layers


def _behind_attention(layer: GradientCheckpointingLayer) -> nn.Module:
    """Return the module that what was attended to goes through next."""
    # DistilBERT's layers have no such module around attention.
    behind: nn.Module
    if hasattr(layer, "sa_layer_norm"):
        behind = layer.sa_layer_norm
    else:
        behind = layer.attention.output
    return behind


def _query_first(layer: nn.Module, hidden: Tensor, mask: Tensor | None, **settings: object) -> object:
    """Stand for the ``forward`` of a DeBERTa's layer: only the first token has a query."""
    settings["query_states"] = hidden[:, :1]
    return type(layer).forward(layer, hidden, mask, **settings)


def _first_row(module: nn.Module, *tensors: Tensor) -> object:
    """Stand for the ``forward`` of a module that looks at one token at a time."""
    first = [tensor[:, :1] for tensor in tensors]
    return type(module).forward(module, *first)
