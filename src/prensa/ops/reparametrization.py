"""Weights that training code stores in parts: pruning masks, weight normalization, spectral normalization.

Each function returns the one weight that the parts stand for, as the module itself would compute it before
every forward pass. They work in float32 or wider and return the dtype of the stored weight.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked(original: Tensor, mask: Tensor) -> Tensor:
    """Multiply a weight by its mask (``torch.nn.utils.prune``)."""
    return original * mask.to(original.dtype)


def weight_normed(magnitude: Tensor, direction: Tensor) -> Tensor:
    """Return ``magnitude · direction ÷ ‖direction‖`` (Salimans & Kingma 2016, arXiv 1602.07868, section 2).

    ``magnitude`` has size 1 in every dimension that the norm is taken over, ``direction`` is the weight's
    shape.
    """
    summed = []
    for axis, size in enumerate(magnitude.shape):
        if size == 1 and direction.shape[axis] != 1:
            summed.append(axis)
    wide = torch.promote_types(direction.dtype, torch.float32)
    long = direction.to(wide)
    if summed:
        norm = long.square().sum(dim=summed, keepdim=True).sqrt()
    else:
        # The norm of single numbers. An empty list of dimensions would sum over all of them.
        norm = long.abs()
    # Multiplied before it is divided, as the module does: the other order rounds differently.
    weight = magnitude.to(wide) * long / norm
    return weight.to(direction.dtype)


def spectrally_normed(original: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Divide a weight by its largest singular value, as training estimated it.

    That is spectral normalization (Miyato et al. 2018, arXiv 1802.05957, section 2.1). ``left`` ``[rows]``
    and ``right`` ``[columns]`` are the estimated singular vectors; rows are the first dimension.
    """
    wide = torch.promote_types(original.dtype, torch.float32)
    weight = original.to(wide)
    image = weight.flatten(1) @ right.to(wide)
    largest = left.to(wide) @ image
    return (weight / largest).to(original.dtype)
