"""DeBERTa's attention with its constants folded: the same numbers, several times faster on short texts.

In every layer of every forward pass ``transformers`` projects the embeddings of all relative positions, which
depend on no input, multiplies queries and keys with all of them, and gathers the few that are needed. Here
they are projected once. What positions add to a score depends on the offset of the two pieces alone (He et
al. 2021, arXiv 2006.03654, equation 4), so queries are multiplied with one row for each offset, and each row
of the result, read from one element earlier than the row before, has what the gather would have found: a
view, nothing is moved (the relative shift of Dai et al. 2019, arXiv 1901.02860, appendix B).

Both DeBERTas are taken, the first with one matrix for queries, keys and values, and versions 2 and 3 with
one for each.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers.models.deberta import modeling_deberta as v1
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

from prensa.errors import ModelError
from prensa.isolation import building

_ENCODERS = (v1.DebertaEncoder, v2.DebertaV2Encoder)
_FARTHEST = 1 << 16  # offset that is looked at


class FoldedAttention(nn.Module):
    """Takes the place of an attention module, and has its parts under their names.

    ``pos_key`` and ``pos_query`` ``[heads, positions, size]`` are the projected positions, empty where the
    model has no such term.
    """

    pos_key: Tensor
    pos_query: Tensor
    in_proj: Any
    q_bias: Any
    v_bias: Any
    query_proj: Any
    key_proj: Any
    value_proj: Any

    def __init__(self, original: Any, positions: Tensor | None) -> None:
        """Fold an attention module whose positions are embedded as ``positions`` ``[positions, size]``."""
        super().__init__()
        self._original = (original,)  # in a tuple, so that it is no part of this module
        self.heads = original.num_attention_heads
        self.size = original.attention_head_size
        for name, part in original.named_children():
            self.add_module(name, part)
        for name, parameter in original.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        kinds = original.pos_att_type
        terms = len(kinds) if self._is_first() else len({"c2p", "p2c"}.intersection(kinds))
        self.scale = 1 / math.sqrt(self.size * (1 + terms))
        key, query = self._projected(original, positions)
        self.register_buffer("pos_key", self._table(key), persistent=False)
        self.register_buffer("pos_query", self._table(query) * self.scale, persistent=False)
        self.eval()

    @property
    def original(self) -> Any:
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
        rel_embeddings: Tensor | None = None,  # noqa: ARG002  they are folded
    ) -> tuple[Tensor, Tensor | None]:
        """Attend. ``attention_mask`` ``[batch, length, length]`` is true where a piece must not be seen.

        ``query_states`` ``[batch, rows, width]`` are the first pieces alone, where not all are to attend.
        ``relative_pos`` ``[2, 2·length]`` says which position stands for each offset 1 − length … length, and
        for its opposite.
        """
        batch, length = hidden_states.shape[:2]
        rows = length if query_states is None else query_states.shape[1]
        query, key, value = self._project(hidden_states, query_states)
        scores = torch.bmm(_joined(query), _joined(key).transpose(1, 2))
        scores = scores.view(self.heads, batch, rows, length)
        if relative_pos is not None:
            to_query, to_key = relative_pos.unbind(0)
            if query_states is not None:
                to_query, to_key = to_query[: length + rows], to_key[length - rows :]
            if self.pos_key.numel():
                scores = scores + _by_offset(query, self.pos_key, to_key, length)
            if self.pos_query.numel():
                scores = scores + _by_offset(key, self.pos_query, to_query, rows).transpose(-1, -2)
        if attention_mask is not None:
            scores = scores.masked_fill(attention_mask[:, :rows], torch.finfo(scores.dtype).min)
        shares = torch.softmax(scores, dim=-1)
        seen = torch.bmm(_joined(shares), _joined(value))
        seen = seen.view(self.heads, batch, rows, self.size).permute(1, 2, 0, 3)
        return seen.reshape(batch, rows, self.heads * self.size), (
            shares.transpose(0, 1) if output_attentions else None
        )

    def _is_first(self) -> bool:
        return hasattr(self, "in_proj")

    def _project(self, hidden: Tensor, others: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return scaled queries (of ``others``), keys and values, ``[heads, batch, length, size]`` each."""
        if self._is_first():
            query, key, value = self._split(self.in_proj(hidden))
            if others is not None:
                query = self._split(self.in_proj(others))[0]
            each = (self.heads, 1, 1, self.size)
            return (query + self.q_bias.view(each)) * self.scale, key, value + self.v_bias.view(each)
        query = self.query_proj(hidden if others is None else others) * self.scale
        parts = (query, self.key_proj(hidden), self.value_proj(hidden))
        query, key, value = (
            part.view(*part.shape[:2], self.heads, self.size).permute(2, 0, 1, 3) for part in parts
        )
        return query, key, value

    def _split(self, three: Tensor) -> tuple[Tensor, ...]:
        """Split what the first DeBERTa projects to queries, keys and values at once."""
        return three.view(*three.shape[:2], self.heads, 3, self.size).permute(3, 2, 0, 1, 4).unbind(0)

    def _projected(self, original: Any, positions: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Project the positions to keys and to queries, each where the model has that term."""
        if positions is None:
            return None, None
        if self._is_first():
            to_key, to_query = getattr(self, "pos_proj", None), getattr(self, "pos_q_proj", None)
        elif original.share_att_key:
            to_key = self.key_proj if "c2p" in original.pos_att_type else None
            to_query = self.query_proj if "p2c" in original.pos_att_type else None
        else:
            to_key, to_query = getattr(self, "pos_key_proj", None), getattr(self, "pos_query_proj", None)
        with torch.no_grad():
            return (
                None if to_key is None else to_key(positions),
                None if to_query is None else to_query(positions),
            )

    def _table(self, projected: Tensor | None) -> Tensor:
        if projected is None:
            return torch.empty(0)
        return projected.view(-1, self.heads, self.size).transpose(0, 1).contiguous()


def fold(model: nn.Module) -> int:
    """Fold the attention of every DeBERTa encoder in a model, in place. Return how many layers that were.

    Raises :class:`ModelError` for a model in training mode.
    """
    encoders = [
        module
        for module in model.modules()
        if isinstance(module, _ENCODERS) and module.relative_attention and not _is_folded(module)
    ]
    if encoders and model.training:
        _refuse_training()
    with building():  # positions are computed in the default dtype
        return sum(_fold(encoder) for encoder in encoders)


def unfold(model: nn.Module) -> None:
    """Undo :func:`fold`: the modules that were there before are there again."""
    for encoder in model.modules():
        if isinstance(encoder, _ENCODERS) and _is_folded(encoder):
            for layer in encoder.layer:
                layer.attention.self = layer.attention.self.original
            for name in ("get_rel_embedding", "get_rel_pos", "get_attention_mask", "positions_of_offsets"):
                delattr(encoder, name)


def _fold(encoder: Any) -> int:
    if any(getattr(layer.attention.self, "talking_head", False) for layer in encoder.layer):
        return 0  # it mixes the scores of heads, which are apart here
    with torch.no_grad():
        positions = encoder.get_rel_embedding()
        for layer in encoder.layer:
            attention = layer.attention.self
            span = getattr(attention, "pos_ebd_size", attention.max_relative_positions)
            layer.attention.self = FoldedAttention(attention, positions[: 2 * span])
    encoder.register_buffer("positions_of_offsets", _positions_of_offsets(encoder), persistent=False)
    encoder.get_rel_embedding = MethodType(_no_embedding, encoder)
    encoder.get_rel_pos = MethodType(_positions, encoder)
    encoder.get_attention_mask = MethodType(_hidden, encoder)
    return len(encoder.layer)


def _is_folded(encoder: Any) -> bool:
    return "positions_of_offsets" in dict(encoder.named_buffers(recurse=False))


def _refuse_training() -> NoReturn:
    raise ModelError(
        "the model is in training mode, and what is folded would not follow its weights; "
        "call model.eval() first, or Acceleration.undo() before you train"
    )


def _positions_of_offsets(encoder: Any) -> Tensor:
    """Return which position stands for each offset −m … m; farther ones are as the last on their side."""
    most, buckets = encoder.max_relative_positions, getattr(encoder, "position_buckets", -1)
    span = buckets if buckets > 0 else most
    ends = {0, 2 * span - 1}
    reach = most
    while True:
        offsets = torch.arange(-reach, reach + 1)
        if buckets > 0:
            offsets = v2.make_log_bucket_position(offsets, buckets, most).long()
        positions = (offsets + span).clamp(min(ends), max(ends))
        if {int(positions[0]), int(positions[-1])} == ends or reach > _FARTHEST:
            return positions.to(encoder.rel_embeddings.weight.device)
        reach *= 2  # more buckets than positions: they go on beyond the last one


def _joined(vectors: Tensor) -> Tensor:
    """Make one dimension of heads and batch, for products of matrices."""
    return vectors.reshape(-1, *vectors.shape[2:])


def _by_offset(vectors: Tensor, table: Tensor, positions: Tensor, pieces: int) -> Tensor:
    """Multiply vectors ``[heads, batch, rows, size]`` with the table's row for every offset.

    ``positions`` ``[rows + pieces]`` name those rows for the offsets 1 − rows … pieces; the last one is never
    used. The result ``[heads, batch, rows, pieces]`` has, for vector i and piece j, what belongs to j − i.
    """
    heads, batch, rows, size = vectors.shape
    every = torch.bmm(vectors.reshape(heads, batch * rows, size), table[:, positions].transpose(1, 2))
    flat = every.view(heads, batch, rows * (rows + pieces))[..., rows - 1 : -1]
    return flat.view(heads, batch, rows, rows + pieces - 1)[..., :pieces]


def _no_embedding(encoder: Any) -> None:
    """Stand for ``get_rel_embedding``: they are folded."""


def _positions(encoder: Any, hidden_states: Tensor, *_: Any) -> Tensor:
    """Stand for ``get_rel_pos``: give the positions of all offsets, and of their opposites."""
    length, most = hidden_states.shape[1], len(encoder.positions_of_offsets) // 2
    offsets = torch.arange(1 - length, length + 1, device=hidden_states.device).clamp(-most, most)
    positions: Tensor = encoder.positions_of_offsets[torch.stack([most + offsets, most - offsets])]
    return positions


def _hidden(encoder: Any, attention_mask: Tensor) -> Tensor | None:  # noqa: ARG001
    """Stand for ``get_attention_mask``: tell what each piece must not see, None where there is no padding."""
    mask = attention_mask.bool()
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if not is_traced and mask.device.type == "cpu" and bool(mask.all()):
        return None
    if mask.dim() == 2:  # noqa: PLR2004  [batch, length]
        mask = mask.unsqueeze(1) & mask.unsqueeze(2)
    return ~(mask.squeeze(1) if mask.dim() == 4 else mask)  # noqa: PLR2004  [batch, 1, length, length]
