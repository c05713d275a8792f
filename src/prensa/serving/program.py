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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO, cast

import torch
from torch import Tensor, nn

from prensa.errors import ModelError, PrensaError, first_line
from prensa.serving.exported import ENDS, LOGITS, STARTS, VECTORS
from prensa.texts.encoding import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

_GIVEN = ((LOGITS,), (STARTS, ENDS), (VECTORS,))

_ALONE = threading.RLock()
"""Streams and logs belong to the process: two exports that silence them in turns would leave them silent."""

# Tokens of the texts that a model is traced with.
_EXAMPLE = 8
# Of a model without a maximum: exporters want to know one.
_MOST_TOKENS = 1 << 15


@dataclass(frozen=True)
class Program:
    """An exported graph and the names of what goes in and comes out, in order.

    ``converted`` is what runtimes have made of the graph, by their names: that takes longer than putting it
    in 8 bits, which may have to be done several times.
    """

    graph: torch.export.ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    converted: dict[str, object] = field(default_factory=dict, compare=False, repr=False)


class _Named(nn.Module):
    """Takes inputs by place and gives outputs by place: graphs have no optional ones."""

    def __init__(
        self, model: PreTrainedModel, inputs: Sequence[str], outputs: Sequence[str], *, layers: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.outputs = outputs
        self.layers = layers

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        inputs = dict(zip(self.inputs, values, strict=True))
        if not self.layers:
            output = self.model(**inputs)
            return tuple(output[name] for name in self.outputs)
        output = self.model(**inputs, output_hidden_states=True)
        answers = [output[name] for name in self.outputs]
        return (*answers, *output.hidden_states)


def input_names(model: PreTrainedModel, row: Row) -> tuple[str, ...]:
    """Name what a model reads of what its tokenizer gives."""
    read = set(inspect.signature(model.forward).parameters)
    # Own code that passes on whatever it is given.
    if "input_ids" not in read:
        read = set(row)
    # Such a model takes them and has no row for them.
    if getattr(model.config, "type_vocab_size", 1) == 0:
        read.discard("token_type_ids")
    return tuple(name for name in row if name in read)


def output_names(model: PreTrainedModel, output: ModelOutput) -> tuple[str, ...]:
    """Name what counts of a model's output. Raises :class:`ModelError` for a model with none of it."""
    for names in _GIVEN:
        if set(names) <= set(output):
            return names
    outputs = ", ".join(output)
    raise ModelError(
        f"{type(model).__name__} gives {outputs}; only models that give logits, start and end of "
        "an answer, or vectors of tokens can be served, use it in PyTorch"
    )


def trace(model: PreTrainedModel, row: Row, longest: int | None, *, layers: bool = False) -> Program:
    """Export a model. ``row`` is any text as its tokenizer gives it, ``longest`` the most tokens it reads.

    With ``layers`` the graph gives the hidden states of all layers, too. Raises :class:`ModelError`
    where PyTorch cannot export the model.
    """
    names = input_names(model, row)
    # A cache of keys and values would be outputs of the graph, too, and one text needs none.
    before = getattr(model.config, "use_cache", None)
    if before is not None:
        model.config.use_cache = False
    try:
        with quiet(), torch.no_grad():
            example = _example(names, row, longest)
            outputs = output_names(model, model(**example))
            # Then the layers are compared, and behind one output they start at the same place in all models.
            if layers:
                outputs = outputs[:1]
            graph = _export(model, example, outputs, longest, layers=layers)
            unused = _unused(graph, names)
            # A runtime would drop them, and then not know their names.
            if unused:
                names = tuple(name for name in names if name not in unused)
                example = _example(names, row, longest)
                graph = _export(model, example, outputs, longest, layers=layers)
    except PrensaError:
        raise
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be exported: PyTorch cannot trace it ({first_line(error)}); "
            "use prensa.load(path, runtime='torch')"
        ) from error
    finally:
        # The config is copied into the export.
        if before is not None:
            model.config.use_cache = before
    if layers:
        count = len(graph.graph_signature.user_outputs) - 1
        outputs += tuple(f"hidden state {number}" for number in range(count))
    return Program(graph, names, outputs)


def _example(names: Sequence[str], row: Row, longest: int | None) -> dict[str, Tensor]:
    """Return two texts to trace with, the second padded."""
    length = min(_EXAMPLE, longest or _EXAMPLE)
    # Repeated, so that the shortest text is long enough.
    twice = torch.tensor([row["input_ids"], row["input_ids"]])
    ids = twice.repeat(1, _EXAMPLE)[:, :length]
    mask = torch.ones_like(ids)
    mask[1, length // 2 + 1 :] = 0
    example = {name: torch.zeros_like(ids) for name in names}
    example["input_ids"] = ids
    if "attention_mask" in example:
        example["attention_mask"] = mask
    return example


def _export(
    model: PreTrainedModel,
    example: dict[str, Tensor],
    outputs: Sequence[str],
    longest: int | None,
    *,
    layers: bool,
) -> torch.export.ExportedProgram:
    """Trace a model with ``example``, any number of texts of any length allowed."""
    sizes = {
        0: torch.export.Dim("batch", min=1),
        1: torch.export.Dim("sequence", min=1, max=longest or _MOST_TOKENS),
    }
    module = _Named(model, list(example), outputs, layers=layers)
    return torch.export.export(
        module.eval(),
        tuple(example.values()),
        dynamic_shapes={"values": (sizes,) * len(example)},
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )


def _unused(graph: torch.export.ExportedProgram, names: Sequence[str]) -> set[str]:
    """Return the inputs that nothing in a graph reads but its own checks of their shape."""
    placeholders = {}
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            placeholders[node.name] = node
    unused = set()
    for name, node_name in zip(names, graph.graph_signature.user_inputs, strict=True):
        if isinstance(node_name, str) and not _is_read(placeholders[node_name]):
            unused.add(name)
    return unused


def _is_read(node: torch.fx.Node) -> bool:
    for user in node.users:
        # Where the graph reads a size, it checks it.
        if "sym_size" not in str(user.target):
            return True
    return False


class _Silent(io.TextIOBase):
    """Takes the place of a stream, and drops what one thread writes to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Print and log nothing that exporters remark: it is about their insides, and a page long if they fail.

    Other threads, such as those that draw a progress bar, still write.
    """
    with _ALONE, _nothing_said():
        yield


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    out = cast("TextIO", _Silent(sys.stdout))
    err = cast("TextIO", _Silent(sys.stderr))
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
