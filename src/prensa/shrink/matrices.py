"""A matrix of a model made narrower in place: ``nn.Linear``, or GPT-2's ``Conv1D``, which is transposed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


def matrices_of(module: nn.Module) -> dict[str, nn.Module]:
    """Return the matrices in a module by their names in it."""
    matrices = {}
    for name, child in module.named_modules():
        if isinstance(child, (nn.Linear, Conv1D)):
            matrices[name] = child
    return matrices


def sizes(matrix: nn.Module) -> tuple[int, int]:
    """Return ``(out_features, in_features)`` of a matrix."""
    weight = _weight(matrix)
    if isinstance(matrix, Conv1D):
        return weight.shape[1], weight.shape[0]
    return weight.shape[0], weight.shape[1]


def sizes_in(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Return ``(out_features, in_features)`` of each matrix in a module, by its name in it."""
    found = {}
    for name, matrix in matrices_of(module).items():
        found[name] = sizes(matrix)
    return found


def keep_rows(matrix: nn.Module, rows: Tensor) -> None:
    """Keep some outputs of a matrix, in this order. ``rows``: int64 [outputs that stay]."""
    # Whatever was said of the parameter (frozen or not) holds for the part of it that stays.
    _select(matrix, "weight", 1 if isinstance(matrix, Conv1D) else 0, rows)
    if getattr(matrix, "bias", None) is not None:
        _select(matrix, "bias", 0, rows)
    _set_sizes(matrix)


def keep_columns(matrix: nn.Module, columns: Tensor) -> None:
    """Keep some inputs of a matrix, in this order. ``columns``: int64 [inputs that stay]."""
    _select(matrix, "weight", 0 if isinstance(matrix, Conv1D) else 1, columns)
    _set_sizes(matrix)


def zero_columns(matrix: nn.Module, columns: Tensor) -> None:
    """Have a matrix take no notice of some inputs. ``columns``: int64 [inputs]."""
    with torch.no_grad():
        _weight(matrix).index_fill_(0 if isinstance(matrix, Conv1D) else 1, columns, 0.0)


def _weight(matrix: nn.Module) -> Tensor:
    return matrix.get_parameter("weight")


def _select(matrix: nn.Module, name: str, dimension: int, index: Tensor) -> None:
    parameter = matrix.get_parameter(name)
    with torch.no_grad():
        part = parameter.index_select(dimension, index.to(parameter.device))
    setattr(matrix, name, nn.Parameter(part, requires_grad=parameter.requires_grad))


def _set_sizes(matrix: nn.Module) -> None:
    """Have the matrix know its new sizes: they are printed, and some code reads them."""
    outputs, inputs = sizes(matrix)
    if isinstance(matrix, Conv1D):
        matrix.nf, matrix.nx = outputs, inputs
    elif isinstance(matrix, nn.Linear):
        matrix.out_features, matrix.in_features = outputs, inputs
