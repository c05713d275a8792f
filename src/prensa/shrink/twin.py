"""A model of the same class and widths with one layer and random weights, on which it is found what can go.

It is built from the config alone: no weight is read. It has one layer, or the first few, since all are alike
(:func:`prensa.shrink.anatomy.anatomy_of` makes sure), and hardly any vocabulary, since it is given vectors.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prensa.checkpoint.roles import quiet_transformers
from prensa.errors import ModelError, PrensaError, first_line
from prensa.sharing import building
from prensa.shrink.layers import changed, layer_modules, layers_of, shorter

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# A neuron behind a ReLU shows nothing if all tokens leave it at zero: 48 of them will not.
_TEXTS, _TOKENS = 4, 12
_VOCABULARY = 8
_SEED = 0


@dataclass(frozen=True)
class Twin:
    """The twin, its first layer, and the vectors that it is given: float32 [texts, tokens, width]."""

    model: PreTrainedModel
    layer: nn.Module
    vectors: Tensor

    def run(self) -> Tensor:
        """Return the last hidden vectors [texts, tokens, hidden], with the graph that gradients need."""
        mask = torch.ones(self.vectors.shape[:2], dtype=torch.int64)
        hidden: Tensor = self.model.base_model(inputs_embeds=self.vectors, attention_mask=mask)[0]
        return hidden


def build_twin(class_: type[PreTrainedModel], config: PretrainedConfig, layers: int = 1) -> Twin:
    """Build it with its first ``layers`` on the CPU in float32.

    Raises :class:`ModelError` if the class cannot be built or run so.
    """
    try:
        # Building draws random numbers, which are the caller's.
        with building(), quiet_transformers(), torch.random.fork_rng(devices=[]):
            model = class_(of_few(config, layers)).float().eval()
        _randomize(model)
        twin = Twin(model, layer_modules(model, layers_of(model))[0], _vectors(model))
        with torch.no_grad():
            twin.run()
    except PrensaError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise ModelError(
            f"{class_.__name__}: one layer of it cannot be run on random vectors ({reason}), so what can be "
            "taken away is not known; such a model cannot be shrunk"
        ) from error
    return twin


def of_few(config: PretrainedConfig, layers: int = 1) -> PretrainedConfig:
    """Return a config of the first layers and the same widths, with few tokens and without a cache."""
    small = changed(copy.deepcopy(config), shorter(config, range(layers)))
    small.use_cache = False
    if getattr(small, "vocab_size", 0) > _VOCABULARY:
        small.vocab_size = _VOCABULARY
        # An embedding's padding must be one of its rows.
        if (getattr(small, "pad_token_id", None) or 0) >= _VOCABULARY:
            small.pad_token_id = 0
    return small


def _vectors(model: PreTrainedModel) -> Tensor:
    # Not the hidden size: ELECTRA's and DeBERTa's tables may be narrower, and projected.
    width = model.get_input_embeddings().weight.shape[1]
    # Some position tables begin after the padding, so their last rows are out of reach.
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    tokens = min(_TOKENS, max(2, positions - 4))
    return torch.randn(_TEXTS, tokens, width, generator=torch.Generator().manual_seed(_SEED))


def _randomize(model: PreTrainedModel) -> None:
    """Give the weights values by which everything that can have an influence has a visible one.

    Classes begin with small weights, zeros and ones. Here the values before an activation or a softmax are
    about 1, neither saturated nor lost beside others.
    """
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(std=0.3, generator=generator)
            else:
                parameter.uniform_(0.5, 1.5, generator=generator)
