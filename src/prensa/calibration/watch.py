"""What each matrix of a model sees of the texts: sums, filled by hooks while the model runs.

A matrix is known by the identity of its parameter, not by its name: a tied one has several names, and all of
its uses belong to one sum. So parameters must stay the same objects while a model is watched.

Sums are in float32 whatever a module computes in: float16 has no room for squared gradients, and bfloat16 too
few digits to add many of them up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers.pytorch_utils import Conv1D

from prensa.ops.moment import Moment

MATRIX = 2
"""Dimensions."""


@dataclass
class Sums:
    """Sums over all texts for one matrix; what a change costs is ``importance × moment`` in the end.

    ``inputs`` and ``gradients`` belong to its use as a linear layer, ``looked_up`` and ``uses`` to that as an
    embedding, ``own`` and ``rows`` to any other.
    """

    # Σ x·xᵀ over the inputs x of a linear layer, and how many there were.
    inputs: Moment | None = None
    input_count: int = 0
    # Σ g² over the gradients g of its outputs, for each output by itself.
    gradients: Tensor | None = None
    # Σ g·gᵀ over the gradients g of rows that were looked up, how many, and how often each row.
    looked_up: Moment | None = None
    look_ups: int = 0
    uses: Tensor | None = None
    # Σ Gᵀ·G over the gradients G of the matrix itself, and the squares of each row of these.
    own: Moment | None = None
    rows: Tensor | None = None


@dataclass
class Watch:
    """Sums of every matrix that was met, by its parameter's identity.

    ``mask`` is the current batch's ``[texts, tokens]``, and has one dimension while none is known. ``home``
    is the device on which sums are kept. ``begins`` has gradients begin at linear layers, too: a module may
    have no embedding in front of them. With ``forward_only`` inputs and look-ups are summed up without
    gradients, which then say nothing. ``multiplied`` are the identities of matrices that linear layers used.
    """

    home: str
    begins: bool = False
    forward_only: bool = False
    mask: Tensor = field(default_factory=lambda: torch.empty(0))
    sums: dict[int, Sums] = field(default_factory=dict)
    multiplied: set[int] = field(default_factory=set)

    def of(self, weight: Tensor) -> Sums:
        """Return a matrix' sums, new ones at its first use."""
        return self.sums.setdefault(id(weight), Sums())

    def moment(self, so_far: Moment | None, vectors: Tensor) -> Moment:
        """Add the second moment of some vectors to a sum, in place: moments are as large as matrices."""
        # A caller may run a module in inference mode: what is made there could not be worked on afterwards.
        with torch.inference_mode(mode=False):
            if so_far is None:
                size = vectors.shape[-1]
                so_far = Moment.zeros(size, self.home)
            so_far.add(vectors)
        return so_far

    def plus(self, so_far: Tensor | None, more: Tensor) -> Tensor:
        """Add to a sum, in place."""
        with torch.inference_mode(mode=False):
            more = more.to(self.home)
            if so_far is None:
                return more.clone() if more.is_inference() else more
            return so_far.add_(more)


def matrix_of(module: nn.Module) -> nn.Parameter | None:
    """Return a module's weight if it is a matrix: norms have vectors, and convolutions more dimensions."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter):
        return None
    if weight.dim() != MATRIX:
        return None
    return weight


def watch_layers(
    model: nn.Module, watch: Watch, only: Collection[int] | None = None
) -> list[RemovableHandle]:
    """Have linear layers and embeddings fill the sums of their matrices, until the handles are removed.

    ``only`` are the identities of the matrices to watch, None for all.
    """
    handles: list[RemovableHandle] = []
    for module in model.modules():
        matrix = matrix_of(module)
        if matrix is None or (only is not None and id(matrix) not in only):
            continue
        if isinstance(module, nn.Embedding) and _looks_up(module):
            see_embedding = functools.partial(_see_embedding, watch)
            handles.append(module.register_forward_hook(see_embedding))
        elif isinstance(module, (nn.Linear, Conv1D)):
            see_linear = functools.partial(_see_linear, watch)
            handles.append(module.register_forward_hook(see_linear))
    return handles


def _add_own(watch: Watch, weight: Tensor, gradient: Tensor) -> None:
    """Add the gradient of a matrix itself, over all of its uses in one batch."""
    sums = watch.of(weight)
    sums.own = watch.moment(sums.own, gradient)
    squares = gradient.float().square().sum(dim=1)
    sums.rows = watch.plus(sums.rows, squares)


def take_own_gradients(watch: Watch, weights: Iterable[nn.Parameter]) -> None:
    """Add the gradients of matrices themselves, and drop them: autograd would add those of the next batch.

    What was looked up is not in them, and seen by itself. What a linear layer multiplies is: of a matrix that
    one has used since gradients began they count for nothing, or that use would count twice.
    """
    for weight in weights:
        if weight.grad is None:
            continue
        if id(weight) not in watch.multiplied:
            _add_own(watch, weight, weight.grad)
        weight.grad = None


def _looks_up(module: nn.Embedding) -> bool:
    """Whether it gives the rows of its ids, perhaps scaled: tables of positions may compute their own ids."""
    is_plain = type(module).forward is nn.Embedding.forward
    return is_plain or hasattr(module, "embed_scale")


def _see_linear(
    watch: Watch, module: nn.Linear | Conv1D, arguments: tuple[Tensor, ...], output: Tensor
) -> Tensor:
    # Noted also without gradients: who runs the model once without them learns which matrices are multiplied.
    watch.multiplied.add(id(module.weight))
    sums = watch.of(module.weight)
    # Inside of a block, which runs once more with gradients: counted here, inputs would count twice.
    if not torch.is_grad_enabled() and not watch.forward_only:
        return output
    inputs = _real(arguments[0].detach(), watch.mask)
    sums.inputs = watch.moment(sums.inputs, inputs)
    sums.input_count += len(inputs)
    if watch.begins and not output.requires_grad:
        output = output.detach().requires_grad_()

    def see_gradient(gradient: Tensor) -> None:
        # Padding has no gradient: nothing of it is in what is computed of the outputs.
        squares = _rows(gradient).float().square().sum(dim=0)
        sums.gradients = watch.plus(sums.gradients, squares)

    return _watched(output, see_gradient)


def _see_embedding(
    watch: Watch, module: nn.Embedding, arguments: tuple[Tensor, ...], output: Tensor
) -> Tensor | None:
    ids = arguments[0].detach()
    sums = watch.of(module.weight)
    # Bart multiplies what is looked up: a change of a row is multiplied, too, and so is its gradient.
    scale = getattr(module, "embed_scale", 1.0)
    # That of this call: a module of several encoders has another one by the time that gradients come back.
    mask = watch.mask

    def see_gradient(gradient: Tensor) -> None:
        rows = gradient
        if _is_of(mask, ids.shape):
            rows = gradient[mask]
        rows = _rows(rows).float() * scale
        sums.looked_up = watch.moment(sums.looked_up, rows)
        sums.look_ups += len(rows)
        sums.uses = watch.plus(sums.uses, _uses(module, ids, mask))

    if not torch.is_grad_enabled():
        if watch.forward_only:
            sums.uses = watch.plus(sums.uses, _uses(module, ids, mask))
        return None
    # Gradients begin here, at what comes out of the tables, and everything behind gets them. The table's own
    # would take as much memory as it does; without this use it has one only where it is used otherwise, too.
    output = output.detach().requires_grad_()
    return _watched(output, see_gradient)


def _uses(module: nn.Embedding, ids: Tensor, mask: Tensor) -> Tensor:
    """Count how often each row was looked up ``[rows]``."""
    # A table of positions gets one row of ids for all texts, and no padding.
    looked_up = ids[mask] if _is_of(mask, ids.shape) else ids
    looked_up = looked_up.reshape(-1)
    uses = torch.zeros(
        module.num_embeddings,
        dtype=torch.float32,
        device=looked_up.device,
    )
    ones = torch.ones_like(looked_up, dtype=uses.dtype)
    return uses.index_add_(0, looked_up, ones)


def _watched(output: Tensor, see_gradient: Callable[[Tensor], None]) -> Tensor:
    """Return a tensor like ``output`` whose gradient is seen.

    The hook stays at the tensor, and the model goes on with a copy. A model that changes the copy in place
    (``hidden += 1``) would else move the hook behind the change, and the gradient would be another's.
    """
    if not output.requires_grad:
        return output
    output.register_hook(see_gradient)  # type: ignore[no-untyped-call]
    return output.clone()


def _real(tensor: Tensor, mask: Tensor) -> Tensor:
    """Return the vectors of a tensor ``[…, size]`` as rows, without those of padding."""
    if _is_of(mask, tensor.shape[:-1]):
        return tensor[mask].float()
    # Of texts, and not of tokens: a classifier's last layer, or a table of positions.
    return _rows(tensor).float()


def _is_of(mask: Tensor, shape: torch.Size) -> bool:
    """Whether a mask is that of tokens of this shape."""
    # Where none is known it is empty, and so are the inputs of a layer that a batch leaves idle.
    return mask.dim() == MATRIX and mask.shape == shape


def _rows(tensor: Tensor) -> Tensor:
    """Return the vectors of a tensor ``[…, size]`` as rows."""
    size = tensor.shape[-1]
    return tensor.reshape(-1, size)
