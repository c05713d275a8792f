"""A PyTorch model as a graph with free batch and length, which other runtimes take."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from prensa.errors import ModelError, PrensaError, first_line
from prensa.texts.encoding import Row

LOGITS, VECTORS = "logits", "last_hidden_state"
STARTS, ENDS = "start_logits", "end_logits"
"""What the graph gives first: of a model with a head its logits, of one that answers questions those of
where the answer starts and ends, else the vector of each piece."""

_GIVEN = ((LOGITS,), (STARTS, ENDS), (VECTORS,))

_ALONE = threading.RLock()
"""Streams and logs belong to the process: two exports that silence them in turns would leave them silent."""

_EXAMPLE = 8  # tokens of the texts that a model is traced with


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
    read = set(inspect.signature(model.forward).parameters)
    if "input_ids" not in read:  # own code that passes on whatever it is given
        read = set(row)
    if getattr(model.config, "type_vocab_size", 1) == 0:
        read.discard("token_type_ids")
    return tuple(name for name in row if name in read)


def output_names(model: Any, output: Any) -> tuple[str, ...]:
    """Name what counts of a model's output. Raises :class:`ModelError` for a model with none of it."""
    for names in _GIVEN:
        if all(name in output for name in names):
            return names
    raise ModelError(
        f"{type(model).__name__} gives {', '.join(output)}; only models that give logits, start and end of "
        "an answer, or vectors of pieces can be served, use it in PyTorch"
    )


def trace(model: Any, row: Row, longest: int | None, *, layers: bool = False) -> Program:
    """Export a model. ``row`` is any text as its tokenizer gives it, ``longest`` the most pieces it reads.

    With ``layers`` the graph gives the hidden states of all layers, too. Raises :class:`ModelError`
    where PyTorch cannot export the model.
    """
    names = input_names(model, row)
    before = getattr(model.config, "use_cache", None)
    if before is not None:
        model.config.use_cache = False
    try:
        with quiet(), torch.no_grad():
            values = _example(names, row, longest)
            outputs = output_names(model, model(**values))
            if layers:  # which are compared with each other
                outputs = outputs[:1]
            graph = _export(model, values, outputs, longest, layers=layers)
            unused = _unused(graph, names)
            if unused:  # a runtime would drop them, and then not know their names
                names = tuple(name for name in names if name not in unused)
                graph = _export(model, _example(names, row, longest), outputs, longest, layers=layers)
    except PrensaError:
        raise
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be exported: PyTorch cannot trace it ({first_line(error)}); "
            "use prensa.load(path, runtime='torch')"
        ) from error
    finally:
        if before is not None:
            model.config.use_cache = before
    if layers:
        count = len(graph.graph_signature.user_outputs) - 1
        outputs += tuple(f"hidden state {number}" for number in range(count))
    return Program(graph, names, outputs)


def _example(names: Sequence[str], row: Row, longest: int | None) -> dict[str, Tensor]:
    """Return two texts to trace with, the second padded."""
    length = min(_EXAMPLE, longest or _EXAMPLE)
    ids = torch.tensor([row["input_ids"], row["input_ids"]]).repeat(1, _EXAMPLE)[:, :length]
    values = {
        name: torch.ones_like(ids) if name == "attention_mask" else torch.zeros_like(ids) for name in names
    }
    values["input_ids"] = ids
    if "attention_mask" in values:
        values["attention_mask"][1, length // 2 + 1 :] = 0
    return values


def _export(
    model: Any, values: dict[str, Tensor], outputs: Sequence[str], longest: int | None, *, layers: bool
) -> torch.export.ExportedProgram:
    sizes = {
        0: torch.export.Dim("batch", min=1),
        1: torch.export.Dim("sequence", min=1, max=longest or 1 << 15),
    }
    return torch.export.export(
        _Named(model, list(values), outputs, layers=layers).eval(),
        tuple(values.values()),
        dynamic_shapes={"values": tuple(sizes for _ in values)},
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )


def _unused(graph: torch.export.ExportedProgram, names: Sequence[str]) -> set[str]:
    """Return the inputs that nothing in a graph reads but its own checks of their shape."""
    nodes = {node.name: node for node in graph.graph.nodes if node.op == "placeholder"}
    placed = zip(names, graph.graph_signature.user_inputs, strict=True)
    return {name for name, node in placed if isinstance(node, str) and not _is_read(nodes[node])}


def _is_read(node: Any) -> bool:
    return any("sym_size" not in str(user.target) for user in node.users)


class _Silent(io.TextIOBase):
    """Takes the place of a stream, and drops what one thread writes to it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters remark to themselves: it is about their insides, and a page long where they fail.

    Other threads, such as those that draw a progress bar, still write.
    """
    with _ALONE, _nothing_said():
        yield


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(cast("Any", _Silent(sys.stdout))),
            contextlib.redirect_stderr(cast("Any", _Silent(sys.stderr))),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
