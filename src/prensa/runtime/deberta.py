"""DeBERTa's attention with its constants folded: the same numbers, several times faster on short texts.

In every layer of every forward pass ``transformers`` projects the embeddings of all relative positions, which
depend on no input, multiplies queries and keys with all of them, and gathers the few that are needed. Here
they are projected once. What positions add to a score depends on the offset of the two tokens alone (He et
al. 2021, arXiv 2006.03654, equation 4), so queries are multiplied with one row for each offset, and each row
of the result, read from one element earlier than the row before, has what the gather would have found: a
view, nothing is moved (the relative shift of Dai et al. 2019, arXiv 1901.02860, appendix B).

Both DeBERTas are taken, the first with one matrix for queries, keys and values, and versions 2 and 3 with
one for each.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from transformers.models.deberta import modeling_deberta as v1
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

from prensa.errors import ModelError
from prensa.runtime.offsets import positions_of_offsets
from prensa.runtime.scores import by_offset, hide, plus, shares_of
from prensa.sharing import building

Attention: TypeAlias = v1.DisentangledSelfAttention | v2.DisentangledSelfAttention
Encoder: TypeAlias = v1.DebertaEncoder | v2.DebertaV2Encoder

_ENCODERS = (v1.DebertaEncoder, v2.DebertaV2Encoder)
# Dimensions of masks ``[batch, length]`` and ``[batch, 1, length, length]``.
_MATRIX, _BY_HEAD = 2, 4


class FoldedAttention(nn.Module):
    """Takes the place of an attention module, and has its parts under their names.

    ``pos_key`` and ``pos_query`` ``[heads, positions, size]`` are the projected positions, empty where the
    model has no such term. ``positions`` ``[positions, heads · size]`` are those before, None without any.
    """

    pos_key: Tensor
    pos_query: Tensor
    positions: Tensor | None
    # Whether positions are projected in every pass after all, see `projecting`.
    projects = False
    # Of the first DeBERTa.
    in_proj: nn.Linear
    q_bias: Tensor
    v_bias: Tensor
    # Of versions 2 and 3.
    query_proj: nn.Linear
    key_proj: nn.Linear
    value_proj: nn.Linear

    def __init__(self, original: Attention, positions: Tensor | None) -> None:
        """Fold an attention module whose positions are embedded as ``positions`` ``[positions, size]``."""
        super().__init__()
        # In a tuple, so that it is no part of this module: its weights would have two names.
        self._original = (original,)
        self.heads = original.num_attention_heads
        self.size = original.attention_head_size
        for name, part in original.named_children():
            self.add_module(name, part)
        for name, parameter in original.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        kinds = original.pos_att_type
        # The first DeBERTa counts every name it is given, the others those that they know.
        terms = len(kinds)
        if not self._is_first():
            terms = len({"c2p", "p2c"}.intersection(kinds))
        self.scale = 1 / math.sqrt(self.size * (1 + terms))
        # Buffers move with the model, and not persistent ones are not saved with it.
        self.register_buffer("positions", positions, persistent=False)
        with torch.no_grad():
            pos_key, pos_query = self._projected()
        self.register_buffer("pos_key", pos_key, persistent=False)
        self.register_buffer("pos_query", pos_query, persistent=False)
        self.eval()

    @property
    def original(self) -> Attention:
        """The module whose place this one has taken."""
        return self._original[0]

    def train(self, mode: bool = True) -> FoldedAttention:  # noqa: FBT001, FBT002  PyTorch's signature
        """Refuse to train: what is folded would no longer follow from the weights."""
        if mode:
            _refuse_training()
        return super().train(mode)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        output_attentions: bool = False,  # noqa: FBT001, FBT002
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend. ``attention_mask`` ``[batch, length, length]`` is true where a token must not be seen.

        ``query_states`` ``[batch, rows, width]`` are the first tokens alone, where not all are to attend.
        ``relative_pos`` ``[2, 2·length]`` says which position stands for each offset 1 − length … length, and
        for its opposite.
        """
        query, key, value = self._project(hidden_states, query_states)
        heads, batch, rows, size = query.shape
        length = key.shape[2]

        # What the contents of two tokens say about each other, and what their distance does.
        left = _joined(query)
        right = _joined(key).transpose(1, 2)
        scores = torch.bmm(left, right)
        scores = scores.view(heads, batch, rows, length)
        if relative_pos is not None:
            scores = self._add_positions(scores, query, key, relative_pos)
        if attention_mask is not None:
            scores = hide(scores, attention_mask[:, :rows])

        shares = shares_of(scores)
        seen = torch.bmm(
            _joined(shares),
            _joined(value),
        )
        seen = seen.view(heads, batch, rows, size)
        seen = seen.permute(1, 2, 0, 3)
        seen = seen.reshape(batch, rows, heads * size)
        if not output_attentions:
            return seen, None
        return seen, shares.transpose(0, 1)

    def _add_positions(self, scores: Tensor, query: Tensor, key: Tensor, relative_pos: Tensor) -> Tensor:
        """Add to scores ``[heads, batch, rows, length]`` what contents and offsets say about each other."""
        to_query, to_key = relative_pos.unbind(0)
        pos_key, pos_query = self.pos_key, self.pos_query
        if self.projects:
            pos_key, pos_query = self._projected()
        rows, length = scores.shape[2:]
        # With all tokens these are all positions. The first ones alone have as few offsets to the left.
        to_query = to_query[: length + rows]
        to_key = to_key[length - rows :]
        if pos_key.numel():
            by_query = by_offset(query, pos_key, to_key, length)
            scores = plus(scores, by_query)
        if pos_query.numel():
            by_key = by_offset(key, pos_query, to_query, rows)
            scores = plus(scores, by_key.transpose(-1, -2))
        return scores

    def _is_first(self) -> bool:
        return hasattr(self, "in_proj")

    def _project(self, hidden: Tensor, others: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return scaled queries (of ``others``), keys and values, ``[heads, batch, length, size]`` each."""
        if self._is_first():
            query, key, value = self._split(self.in_proj(hidden))
            if others is not None:
                query, _, _ = self._split(self.in_proj(others))
            # Keys have no bias: it would change all scores of a query alike.
            by_head = (self.heads, 1, 1, self.size)
            q_bias = self.q_bias.view(by_head)
            v_bias = self.v_bias.view(by_head)
            query = (query + q_bias) * self.scale
            return query, key, value + v_bias
        if others is None:
            others = hidden
        query = self.query_proj(others) * self.scale
        key = self.key_proj(hidden)
        value = self.value_proj(hidden)
        query = self._by_head(query)
        key = self._by_head(key)
        value = self._by_head(value)
        return query, key, value

    def _by_head(self, vectors: Tensor) -> Tensor:
        """Turn ``[batch, length, heads · size]`` into ``[heads, batch, length, size]``."""
        batch, length = vectors.shape[:2]
        parts = vectors.view(batch, length, self.heads, self.size)
        return parts.permute(2, 0, 1, 3)

    def _split(self, three: Tensor) -> tuple[Tensor, ...]:
        """Split what the first DeBERTa projects to queries, keys and values at once."""
        batch, length = three.shape[:2]
        parts = three.view(batch, length, self.heads, 3, self.size)
        return parts.permute(3, 2, 0, 1, 4).unbind(0)

    def _projected(self) -> tuple[Tensor, Tensor]:
        """Project the positions to keys and to queries, each where the model has that term."""
        key = None
        query = None
        if self.positions is not None:
            to_key, to_query = self._projections(self.original)
            # As one text: for matrices exporters have an operator whose weights would be another constant.
            as_text = self.positions.unsqueeze(0)
            if to_key is not None:
                key = to_key(as_text)
            if to_query is not None:
                query = to_query(as_text)
        # Queries are scaled as they are projected, and so are the queries of positions, once.
        return self._table(key), self._table(query) * self.scale

    def _projections(self, original: Attention) -> tuple[nn.Module | None, nn.Module | None]:
        """Return the layers that positions go through to be keys and queries, None for a term that is not."""
        if self._is_first():
            return getattr(self, "pos_proj", None), getattr(self, "pos_q_proj", None)
        if not original.share_att_key:
            return getattr(self, "pos_key_proj", None), getattr(self, "pos_query_proj", None)
        # Positions share the layers of the contents.
        to_key = self.key_proj if "c2p" in original.pos_att_type else None
        to_query = self.query_proj if "p2c" in original.pos_att_type else None
        return to_key, to_query

    def _table(self, projected: Tensor | None) -> Tensor:
        """Turn projected positions into ``[heads, positions, size]``, or into nothing if there are none."""
        if projected is None:
            return torch.empty(0)
        return projected.view(-1, self.heads, self.size).transpose(0, 1).contiguous()


@dataclass(frozen=True)
class Folding:
    """An encoder, and what takes the place of its parts when it is folded.

    ``attentions`` are those of its layers, in order, and ``positions`` those of all offsets.
    """

    encoder: Encoder
    attentions: tuple[FoldedAttention, ...]
    positions: Tensor

    def install(self) -> None:
        """Fold the encoder in place; one that is folded stays so."""
        encoder = self.encoder
        # It may have been shortened meanwhile: then the first ones are enough.
        for layer, attention in zip(encoder.layer, self.attentions, strict=False):
            layer.attention.self = attention
        # Layers get their positions and masks from the encoder; on this one, from what is folded.
        encoder.register_buffer("positions_of_offsets", self.positions, persistent=False)
        encoder.get_rel_embedding = MethodType(_no_embedding, encoder)
        encoder.get_rel_pos = MethodType(_positions, encoder)
        encoder.get_attention_mask = MethodType(_hidden, encoder)

    def remove(self) -> None:
        """Put back what was there; an encoder that is not folded stays so."""
        unfold(self.encoder)


def fold(model: nn.Module) -> int:
    """Fold the attention of every DeBERTa encoder in a model, in place. Return how many layers that were.

    Raises :class:`ModelError` for a model in training mode.
    """
    layers = 0
    for folding in foldings_of(model):
        folding.install()
        layers += len(folding.attentions)
    return layers


@contextlib.contextmanager
def projecting(model: nn.Module) -> Iterator[None]:
    """Have a folded model project its positions in every pass, for a graph that is traced meanwhile.

    The graph then has the layers that project and not what they give, which would be as large again as the
    layers. Runtimes compute once, when they load a graph, what depends on no input.
    """
    attentions = [module for module in model.modules() if isinstance(module, FoldedAttention)]
    for attention in attentions:
        attention.projects = True
    try:
        yield
    finally:
        for attention in attentions:
            attention.projects = False


def can_fold(model: nn.Module) -> bool:
    """Whether a model has an encoder that :func:`fold` would fold."""
    return bool(_encoders(model))


def foldings_of(model: nn.Module) -> list[Folding]:
    """Compute what folds the DeBERTa encoders in a model, and leave the model as it is.

    Encoders that are folded already, and those that cannot be, have none. Raises :class:`ModelError` for a
    model in training mode.
    """
    encoders = _encoders(model)
    if encoders and model.training:
        _refuse_training()
    # Positions are computed in the default dtype, which changes while another thread loads a model.
    with building():
        return [_folding(encoder) for encoder in encoders]


def unfold(model: nn.Module) -> None:
    """Undo :func:`fold`: the modules that were there before are there again."""
    for encoder in model.modules():
        if not isinstance(encoder, _ENCODERS) or not _is_folded(encoder):
            continue
        for layer in encoder.layer:
            layer.attention.self = layer.attention.self.original
        # What stands on the instance goes, and the methods of its class are seen again.
        for name in ("get_rel_embedding", "get_rel_pos", "get_attention_mask", "positions_of_offsets"):
            delattr(encoder, name)


def _encoders(model: nn.Module) -> list[Encoder]:
    """Return the encoders in a model that can be folded and are not."""
    encoders = []
    for module in model.modules():
        if not isinstance(module, _ENCODERS) or not module.relative_attention:
            continue
        if not _is_folded(module) and not _mixes_heads(module):
            encoders.append(module)
    return encoders


def _mixes_heads(encoder: Encoder) -> bool:
    """Whether a layer mixes the scores of heads, which are apart here."""
    return any(getattr(layer.attention.self, "talking_head", False) for layer in encoder.layer)


def _folding(encoder: Encoder) -> Folding:
    """Compute what folds an encoder."""
    attentions = []
    with torch.no_grad():
        positions = encoder.get_rel_embedding()
        for layer in encoder.layer:
            attention = layer.attention.self
            span = getattr(attention, "pos_ebd_size", attention.max_relative_positions)
            # They may be the weights themselves, and here they are to be constants.
            attentions.append(FoldedAttention(attention, positions[: 2 * span].detach()))
    return Folding(encoder, tuple(attentions), _offsets_of(encoder))


def _is_folded(encoder: Encoder) -> bool:
    buffers = dict(encoder.named_buffers(recurse=False))
    return "positions_of_offsets" in buffers


def _refuse_training() -> NoReturn:
    raise ModelError(
        "the model is in training mode, and what is folded would not follow its weights; "
        "call model.eval() first, or Acceleration.undo() before you train"
    )


def _offsets_of(encoder: Encoder) -> Tensor:
    """Return which position stands for each offset, on the encoder's device."""
    buckets = getattr(encoder, "position_buckets", -1)
    positions = positions_of_offsets(encoder.max_relative_positions, buckets)
    return positions.to(encoder.rel_embeddings.weight.device)


def _joined(vectors: Tensor) -> Tensor:
    """Make one dimension of heads and batch, for products of matrices."""
    return vectors.reshape(-1, *vectors.shape[2:])


def _no_embedding(encoder: Encoder) -> None:
    """Stand for ``get_rel_embedding``: they are folded."""


def _positions(encoder: Encoder, hidden_states: Tensor, *_: object) -> Tensor:
    """Stand for ``get_rel_pos``: give the positions of all offsets, and of their opposites."""
    length = hidden_states.shape[1]
    table: Tensor = encoder.positions_of_offsets
    most = len(table) // 2
    offsets = torch.arange(1 - length, length + 1, device=hidden_states.device)
    # Beyond what the table has, positions are as at its ends.
    offsets = offsets.clamp(-most, most)
    both = torch.stack([most + offsets, most - offsets])
    return table[both]


def _hidden(encoder: Encoder, attention_mask: Tensor) -> Tensor | None:
    """Stand for ``get_attention_mask``: what each token must not see, None where there is no padding."""
    mask = attention_mask.bool()
    # A graph must not depend on the mask it was traced with, and an accelerator should not be waited for.
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if not is_traced and mask.device.type == "cpu" and bool(mask.all()):
        return None
    if mask.dim() == _MATRIX:
        mask = mask.unsqueeze(1) & mask.unsqueeze(2)
    if mask.dim() == _BY_HEAD:
        mask = mask.squeeze(1)
    return ~mask
