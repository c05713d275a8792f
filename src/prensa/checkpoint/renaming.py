"""How ``from_pretrained`` renames a checkpoint's tensors: which parameter of the model each one becomes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OF_EARLIER_VERSIONS = (r"rotary_emb\.inv_freq", r"(^|\.)position_ids$")
"""Buffers that earlier versions of ``transformers`` saved, and that this one computes."""


@dataclass(frozen=True)
class Name:
    """The model's own name for a checkpoint's tensor.

    ``is_merged`` says that ``transformers`` joins it with others, or splits it, while loading; ``own`` is
    then where the first part goes.
    """

    own: str
    is_merged: bool = False


def own_names(model: PreTrainedModel) -> Callable[[str], str | None]:
    """Return a function from a checkpoint's tensor names to the model's, as ``from_pretrained`` would rename.

    That adds or strips the base model's prefix and follows the renamings that ``transformers`` knows for the
    model type. A tensor that is merged with others or split on loading has no such name in the model, nor
    has one that the model computes another from (``torch.nn.utils.parametrize``).
    """
    find = names_found(model)
    names = set(model.state_dict())
    # Buffers that are not saved have no entry in the state dict, tied parameters only one.
    for name, _ in model.named_parameters(remove_duplicate=False):
        names.add(name)

    def own_name(name: str) -> str | None:
        renamed = find(name)
        if renamed.is_merged or renamed.own not in names:
            return None
        if ".parametrizations." in renamed.own:
            return None
        return renamed.own

    return own_name


def names_found(model: PreTrainedModel) -> Callable[[str], Name]:
    """Return a function from a checkpoint's tensor names to the model's, tensors that are merged included."""
    renamings = []
    converters = []
    for transform in get_model_conversion_mapping(model):
        if isinstance(transform, WeightRenaming):
            renamings.append(transform)
        elif isinstance(transform, WeightConverter):
            converters.append(transform)
    # Once, not for each name: of a large model it has thousands of entries.
    state = model.state_dict()

    def find(name: str) -> Name:
        renamed, merged = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        return Name(renamed, merged is not None)

    return find


def ignored_names(model: PreTrainedModel) -> Callable[[str], bool]:
    """Return a function: does the class, or transformers, expect a name that it has no place for."""
    patterns = [*(model._keys_to_ignore_on_load_unexpected or ()), *_OF_EARLIER_VERSIONS]
    pattern = re.compile("|".join(f"({each})" for each in patterns))
    return lambda name: pattern.search(name) is not None
