"""What Text Embeddings Inference opens on a CPU.

As its source has it (``backends/ort/src/lib.rs``): it reads ``onnx/model.onnx``, always gives ``input_ids``
and ``attention_mask`` as int64, gives ``token_type_ids`` and ``position_ids`` where the graph has them, and
takes ``hidden_size`` and ``num_hidden_layers`` from the config, under these names or those of GPT-2. Of a
classifier it reads ``logits``.
"""

from __future__ import annotations

from pathlib import Path

from prensa.errors import ModelError
from prensa.serving.exported import Record
from prensa.serving.layouts.files import check_output, check_tokenizer, read_config
from prensa.serving.onnxruntime import model_file

NAME = "tei"
RUNTIMES: tuple[str, ...] = ("onnxruntime",)
EXTRA: str | None = None

_PROGRAM = "Text Embeddings Inference"
_OUTPUTS = ("logits", "last_hidden_state")
_ALWAYS = {"input_ids", "attention_mask"}
_GIVEN = _ALWAYS | {"token_type_ids", "position_ids"}
# Each with the other name that it may have.
_NUMBERS = (("hidden_size", "n_embd"), ("num_hidden_layers", "n_layer"))


def arrange(directory: Path, record: Record) -> None:
    """Check that its inputs, its output and its config are those that TEI reads.

    Raises :class:`~prensa.errors.TokenizerError` without a ``tokenizer.json``, else :class:`ModelError`.
    """
    check_tokenizer(directory, _PROGRAM)
    check_output(record, _OUTPUTS, _PROGRAM)
    _check_inputs(model_file(directory))
    config = read_config(directory)
    for names in _NUMBERS:
        if not any(name in config for name in names):
            raise ModelError(
                f"{_PROGRAM} reads {names[0]} in config.json, which this model does not have; "
                "leave out `layout`"
            )


def _check_inputs(file: Path) -> None:
    import onnx

    graph = onnx.load(file, load_external_data=False).graph
    types = {each.name: each.type.tensor_type.elem_type for each in graph.input}
    names = set(types)
    # An input that the graph does not have would be an error there, too.
    if not _ALWAYS <= names <= _GIVEN:
        read = ", ".join(types)
        raise ModelError(
            f"{_PROGRAM} gives input_ids and attention_mask, and token_type_ids and position_ids if they "
            f"are read; this model reads {read}; leave out `layout`"
        )
    if set(types.values()) != {onnx.TensorProto.INT64}:
        raise ModelError(f"{_PROGRAM} gives its inputs as int64, and this model does not read that")
