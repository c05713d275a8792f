"""What transformers.js opens, in Node and in browsers.

It looks for another file for each of its ``dtype``, such as ``onnx/model_quantized.onnx`` for ``q8``
(``src/utils/dtypes.js``). Which of them there is stands in ``config.json``, so that a page needs to ask for
none.
"""

from __future__ import annotations

from pathlib import Path

from prensa.errors import ModelError
from prensa.serving.exported import Record
from prensa.serving.layouts.files import (
    check_one_file,
    check_output,
    check_tokenizer,
    read_config,
    write_config,
)
from prensa.serving.onnxruntime import FILES

NAME = "transformers.js"
RUNTIMES: tuple[str, ...] = ("onnxruntime",)
EXTRA: str | None = None

# Its names of precisions.
_DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "q8", "int4": "q4"}
# Of the answer to a question it reads the start and the end.
_OUTPUTS = ("logits", "last_hidden_state", "start_logits")
# Operators of these sets are in ONNX Runtime's WebAssembly, of the second those that are made for processors.
_DOMAINS = {"", "com.microsoft"}


def arrange(directory: Path, record: Record) -> None:
    """Name the model's file as transformers.js looks for it, and say so in the config.

    Raises :class:`~prensa.errors.TokenizerError` without a ``tokenizer.json``, and :class:`ModelError` for a
    model in several files, or with operators or outputs that it does not know.
    """
    check_tokenizer(directory, NAME)
    check_output(record, _OUTPUTS, NAME)
    file = check_one_file(directory, NAME)
    _check_operators(file)
    file.rename(directory / FILES[record.precision])
    config = read_config(directory)
    # A user may have said more there, such as shapes for an accelerator.
    own = config.get("transformers.js_config")
    settings = dict(own) if isinstance(own, dict) else {}
    config["transformers.js_config"] = {**settings, "dtype": _DTYPES[record.precision]}
    write_config(directory, config)


def _check_operators(file: Path) -> None:
    import onnx

    # Their weights are not needed for that.
    model = onnx.load(file, load_external_data=False)
    domains = {node.domain for node in model.graph.node}
    unknown = sorted(domains - _DOMAINS)
    if unknown:
        names = ", ".join(unknown)
        raise ModelError(f"{NAME} has no operators of {names}, which this model uses; leave out `layout`")
