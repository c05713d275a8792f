"""Least squares in the place of training: what stays makes good for what went, layer by layer.

The last matrix of each part is fitted, bias included, so that the residual stream behind it is the
original's again, given what the smaller layers before it deliver. So each fit also mends what all cuts before
it did, those of whole layers too. (Kwon et al. 2022, arXiv 2204.09656, section 5, scale what stays; here all
of it is free.) Nothing but the texts of two neighbouring layers is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from prensa.progress import Progress, silent
from prensa.runtime.release import release_memory
from prensa.shrink.residual import junction, junctions
from prensa.shrink.stream import Batch, run_layer

# Share of the moments' mean diagonal that holds a matrix to what it was.
_DAMPENING = 0.01


@dataclass(frozen=True)
class Fit:
    """A matrix to be fitted, in the original and in the smaller model."""

    original: nn.Module
    shrunk: nn.Module


@dataclass(frozen=True)
class LayerFit:
    """A layer of the original, and the smaller one that takes its place: None if it goes.

    ``fits`` are the last matrices of its parts, in the order they run.
    """

    original: nn.Module
    shrunk: nn.Module | None
    fits: tuple[Fit, ...]


@dataclass
class _Sums:
    """What least squares needs: sums over all tokens of x·xᵀ and of what is missing times xᵀ."""

    gram: Tensor | None = None
    cross: Tensor | None = None

    def add(self, inputs: Tensor, missing: Tensor) -> None:
        # Products in float32, which are fast, and their sums in float64.
        gram = inputs.t() @ inputs
        cross = missing.t() @ inputs
        self.gram = gram.double() if self.gram is None else self.gram.add_(gram)
        self.cross = cross.double() if self.cross is None else self.cross.add_(cross)


@dataclass
class _Stream:
    """The texts of a batch between two layers, as the original has them and as the smaller model does."""

    batch: Batch
    original: Tensor
    shrunk: Tensor


def repair(layers: Sequence[LayerFit], batches: Sequence[Batch], progress: Progress = silent) -> None:
    """Fit the smaller model's matrices in place."""
    steps = sum(len(layer.fits) for layer in layers)
    done = 0
    streams = [_Stream(batch, batch.states, batch.states) for batch in batches]
    for number, layer in enumerate(layers):
        wanted = [_through_original(number, layer, stream) for stream in streams]
        if layer.shrunk is None:
            continue
        for place, fit in enumerate(layer.fits):
            _fit(number, layer.shrunk, fit, streams, [of_batch[place] for of_batch in wanted])
            done += 1
            progress("fitting what stays", done, steps)
        for stream in streams:
            stream.shrunk = run_layer(layer.shrunk, stream.batch.given[number], stream.shrunk)
        del wanted
        release_memory()


def _through_original(number: int, layer: LayerFit, stream: _Stream) -> list[Tensor]:
    """Take the texts through a layer of the original; return the stream behind each part to be fitted."""
    run = partial(run_layer, layer.original, stream.batch.given[number], stream.original)
    if layer.shrunk is None:
        stream.original = run()
        return []
    met, stream.original = junctions(run, [fit.original for fit in layer.fits])
    return [each.outputs + each.stream for each in met]


def _fit(
    number: int, layer: nn.Module, fit: Fit, streams: Sequence[_Stream], wanted: Sequence[Tensor]
) -> None:
    sums = _Sums()
    with_bias = getattr(fit.shrunk, "bias", None) is not None
    for stream, original in zip(streams, wanted, strict=True):
        batch = stream.batch
        found = junction(partial(run_layer, layer, batch.given[number], stream.shrunk), fit.shrunk)
        inputs = _real(found.inputs, batch.mask)
        if with_bias:
            # The bias is the weight of an input that is always one.
            ones = inputs.new_ones(len(inputs), 1)
            inputs = torch.cat([inputs, ones], dim=1)
        missing = original - found.outputs - found.stream
        sums.add(inputs, _real(missing, batch.mask))
    _change(fit.shrunk, sums, with_bias=with_bias)


def _real(tensor: Tensor, mask: Tensor) -> Tensor:
    """Return the vectors of real tokens ``[tokens, size]``; some layers have all texts' tokens in one row."""
    flat = tensor.reshape(mask.numel(), -1)
    return flat[mask.reshape(-1)]


def _change(module: nn.Module, sums: _Sums, *, with_bias: bool) -> None:
    """Add to a matrix, and its bias, what least squares says is missing."""
    assert sums.gram is not None and sums.cross is not None  # noqa: S101, PT018  there is at least one batch
    mean = sums.gram.diagonal().mean()
    sums.gram.diagonal().add_(_DAMPENING * mean)
    change = torch.linalg.solve(sums.gram, sums.cross.t()).t()
    if with_bias:
        _add(module, "bias", change[:, -1])
        change = change[:, :-1]
    # GPT-2's are stored the other way round.
    _add(module, "weight", change.t() if isinstance(module, Conv1D) else change)


def _add(module: nn.Module, name: str, change: Tensor) -> None:
    """Give a module a parameter of its own: the one that it has may be the original's, too."""
    parameter = module.get_parameter(name)
    changed = parameter.detach() + change.to(parameter)
    setattr(module, name, nn.Parameter(changed, requires_grad=parameter.requires_grad))
