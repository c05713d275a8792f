"""A second model on the weights of the first."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


def sharing_weights(model: M) -> M:
    """Copy a model's modules, and none of its tensors.

    To replace a module or a parameter in either changes that one alone; to change a tensor in place changes
    both.
    """
    # A deep copy takes what its memo has under an object's id for its copy.
    copied = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, copied)
