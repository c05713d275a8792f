"""A PyTorch model as a graph with free batch and length, which other runtimes take."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prensa.errors import AccelerationError, first_line
from prensa.texts.encoding import Row

LOGITS, VECTORS = "logits", "last_hidden_state"
STARTS, ENDS = "start_logits", "end_logits"
"""What the graph gives first: of a model with a head its logits, of one that answers questions those of
where the answer starts and ends, else the vector of each piece."""

_GIVEN = ((LOGITS,), (STARTS, ENDS), (VECTORS,))


@dataclass(frozen=True)
class Program:
    """An exported graph and the names of what goes in and comes out, in order."""

    graph: torch.export.ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Named(nn.Module):
    """Takes inputs by place and gives outputs by place: graphs have no optional ones."""

    def __init__(self, model: Any, inputs: Sequence[str], outputs: Sequence[str], *, layers: bool) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs, self.layers = model, inputs, outputs, layers

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        settings = {"output_hidden_states": True} if self.layers else {}
        output = self.model(**dict(zip(self.inputs, values, strict=True)), **settings)
        given = [output[name] for name in self.outputs]
        return (*given, *(output.hidden_states if self.layers else ()))


def input_names(model: Any, row: Row) -> tuple[str, ...]:
    """Name what a model reads of what its tokenizer gives."""
    has_types = getattr(model.config, "type_vocab_size", 1) > 0
    return tuple(name for name in row if name != "token_type_ids" or has_types)


def output_names(model: Any, output: Any) -> tuple[str, ...]:
    """Name what counts of a model's output. Raises :class:`AccelerationError` for a model with none of it."""
    for names in _GIVEN:
        if all(name in output for name in names):
            return names
    raise AccelerationError(
        f"{type(model).__name__} gives {', '.join(output)}; only models that give logits, start and end of "
        "an answer, or vectors of pieces can be served, use it in PyTorch"
    )


def trace(model: Any, row: Row, longest: int | None, *, layers: bool = False) -> Program:
    """Export a model. ``row`` is any text as its tokenizer gives it, ``longest`` the most pieces it reads.

    With ``layers`` the graph gives the hidden states of all layers, too. Raises :class:`AccelerationError`
    where PyTorch cannot export the model.
    """
    names = input_names(model, row)
    ids = torch.tensor([row["input_ids"], row["input_ids"]]).repeat(1, 4)[:, : min(8, longest or 8)]
    values = {
        name: torch.ones_like(ids) if name == "attention_mask" else torch.zeros_like(ids) for name in names
    }
    values["input_ids"] = ids
    if "attention_mask" in values:
        values["attention_mask"][1, 5:] = 0
    sizes = {
        0: torch.export.Dim("batch", min=1),
        1: torch.export.Dim("sequence", min=1, max=longest or 1 << 15),
    }
    before = getattr(model.config, "use_cache", None)
    if before is not None:
        model.config.use_cache = False
    try:
        with quiet(), torch.no_grad():
            outputs = output_names(model, model(**values))
            if layers:  # which are compared with each other
                outputs = outputs[:1]
            module = _Named(model, names, outputs, layers=layers).eval()
            shapes = {"values": tuple(sizes for _ in names)}
            graph = torch.export.export(
                module,
                tuple(values[n] for n in names),
                dynamic_shapes=shapes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except AccelerationError:
        raise
    except Exception as error:
        raise AccelerationError(
            f"{type(model).__name__} cannot be exported ({first_line(error)}); use the PyTorch runtime"
        ) from error
    finally:
        if before is not None:
            model.config.use_cache = before
    if layers:
        count = len(graph.graph_signature.user_outputs) - 1
        outputs += tuple(f"hidden state {number}" for number in range(count))
    return Program(graph, names, outputs)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters remark to themselves: it is about their insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
