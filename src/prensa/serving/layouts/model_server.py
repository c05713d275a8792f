"""What OpenVINO Model Server opens: a string goes in, scores come out.

``openvino_tokenizer.xml`` is the tokenizer as a graph of OpenVINO, beside ``openvino_model.xml``. Both as one
graph are version 1 of the model, in the numbered folder that the server looks for. OpenVINO itself opens it
as well, where ``openvino_tokenizers`` was imported.

Tokenizers are written anew for that, step by step, so that both are compared on the built-in texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prensa.errors import ModelError, TokenizerError, first_line
from prensa.serving.exported import Record
from prensa.serving.openvino import FILE
from prensa.serving.program import quiet
from prensa.serving.telemetry import without_telemetry
from prensa.texts.columns import built_in_texts, sample
from prensa.texts.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from openvino import Model
    from transformers import PreTrainedTokenizerBase

NAME = "openvino"
RUNTIMES: tuple[str, ...] = ("openvino",)
EXTRA: str | None = "model-server"

TOKENIZER_FILE = "openvino_tokenizer.xml"
SERVED_FILE = "1/model.xml"

# Built-in texts that both tokenizers are compared on, and what else a text may look like.
_COMPARED = 64
_UNUSUAL = (
    "",
    " ",
    "  two  spaces ",
    "Çà et là, naïve café — “quoted” 😀",
    "UPPER lower 3.14 e-mail@a.b\n\ttab",
)


def arrange(directory: Path, record: Record) -> None:
    """Write the tokenizer, and the tokenizer and the model as one graph.

    Raises :class:`TokenizerError` where OpenVINO cannot express the tokenizer or tokenizes differently, and
    :class:`ModelError` where the two do not fit together.
    """
    tokenizer = load_tokenizer(directory)
    with quiet(), without_telemetry():
        converted = _converted(tokenizer, record.longest)
        _compare(tokenizer, converted, record)
        _write(directory, converted, record)


def _converted(tokenizer: PreTrainedTokenizerBase, longest: int | None) -> Model:
    from openvino_tokenizers import convert_tokenizer

    try:
        # A text that is too long is truncated, as when it is served here.
        converted: Model = convert_tokenizer(tokenizer, truncation=longest is not None, max_length=longest)
    except Exception as error:
        raise TokenizerError(
            f"OpenVINO cannot express this tokenizer ({first_line(error)}); leave out `layout`"
        ) from error
    return converted


def _compare(tokenizer: PreTrainedTokenizerBase, converted: Model, record: Record) -> None:
    """Raise :class:`TokenizerError` for the first text that becomes other tokens."""
    import openvino as ov

    compiled = ov.Core().compile_model(converted, "CPU")
    for text in (*sample(built_in_texts(), _COMPARED).texts, *_UNUSUAL):
        expected = tokenizer(text, truncation=record.longest is not None, max_length=record.longest)
        found = compiled([text])["input_ids"][0]
        if not np.array_equal(found, expected["input_ids"]):
            raise TokenizerError(
                f"OpenVINO's tokenizer makes other tokens of {text[:60]!r}; leave out `layout`, and tokenize "
                "in front of the server"
            )


def _write(directory: Path, converted: Model, record: Record) -> None:
    import openvino as ov
    from openvino_tokenizers import connect_models

    ov.save_model(converted, directory / TOKENIZER_FILE, compress_to_fp16=False)
    model = ov.Core().read_model(directory / FILE)
    # Truncation is a state of the graph, which connecting forgets and processors then look for.
    states = converted.get_sinks()
    try:
        # The graph of the model may read less than the tokenizer gives.
        together = connect_models(converted, model, name_map=_pairs(record.inputs))
        together.add_sinks(states)
    except Exception as error:
        raise ModelError(f"tokenizer and model do not fit together ({first_line(error)})") from error
    served = directory / SERVED_FILE
    served.parent.mkdir()
    ov.save_model(together, served, compress_to_fp16=record.precision == "bf16")


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
