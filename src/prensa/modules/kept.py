"""The integers of a compressed module, kept beside the layers that they are the weights of.

A compressed layer holds ordinary rounded weights, which any code can use. What they were rounded to is kept
as packed bytes at the layer itself, and stays there if the layer is copied, moved or put into another module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prensa.checkpoint.manifest import TensorReport
from prensa.codecs.container import unpack
from prensa.codecs.layout import SUFFIX
from prensa.errors import FormatError
from prensa.formats import Stored
from prensa.modules.contents import Held
from prensa.ops.affine import Quantized, dequantize

_KEPT = "_prensa_kept"
"""The attribute of a layer. It is no part of the state dict."""


@dataclass(frozen=True)
class Kept:
    """A tensor as it is stored, under the name that its layer has for it, and what was done to it."""

    stored: Stored
    report: TensorReport


def keep(held: Held, stored: Stored, report: TensorReport) -> None:
    """Keep what was stored of a tensor at every layer that holds it: each may go on without the others."""
    for owner, attribute in held.places:
        kept: dict[str, Kept] = owner.__dict__.setdefault(_KEPT, {})
        kept[attribute] = Kept(renamed(stored, held.name, attribute), report)


def forget(held: Held) -> None:
    """Keep nothing of a tensor any more: it has other values now, which no pass has chosen."""
    for owner, attribute in held.places:
        owner.__dict__.get(_KEPT, {}).pop(attribute, None)


def kept_of(held: Held) -> Kept | None:
    """Return what is kept of a tensor, by its names now; None if it was not compressed."""
    for owner, attribute in held.places:
        kept: dict[str, Kept] = owner.__dict__.get(_KEPT, {})
        one = kept.get(attribute)
        if one is not None:
            return Kept(renamed(one.stored, attribute, held.name), replace(one.report, name=held.name))
    return None


def renamed(stored: Stored, name: str, new: str) -> Stored:
    """Store the same under another name."""
    tensors = {new + full.removeprefix(name): tensor for full, tensor in stored.tensors.items()}
    return replace(stored, tensors=tensors)


def decoded(stored: Stored, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return the values of what was stored under a name, in ``dtype``: everything that reads them does this.

    Raises :class:`FormatError` for packed bytes that are damaged.
    """
    packed = stored.tensors.get(name + SUFFIX)
    if packed is None:
        return stored.tensors[name].to(dtype)
    try:
        value = unpack(packed.numpy(), shape)
    except FormatError as error:
        raise FormatError(f"tensor {name}: {error}") from error
    if isinstance(value, Quantized):
        return dequantize(value, dtype)
    return value.to(dtype)
