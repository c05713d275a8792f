"""One answer of a result, before it counts as done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from prensa.errors import RecipeError, TokenizerError, first_line
from prensa.extras import EXTRAS, is_installed
from prensa.runtime.torch import load
from prensa.texts.tokenizers import load_tokenizer

_log = logging.getLogger(__name__)
_TEXT = "A short text."


def check_answers(directory: Path) -> None:
    """Load a model in bitsandbytes' format and let it answer one text.

    Where bitsandbytes is not installed, or the model reads no texts, it is not tried, and the log says so.
    Raises :class:`RecipeError` where it does not answer: a layer is then stored in a form that its
    module does not take.
    """
    missing = [package for module, package in EXTRAS["bitsandbytes"].items() if not is_installed(module)]
    if missing:
        _log.warning(
            "not tried, %s is not installed here: load the result once where it will run", missing[0]
        )
        return
    model = load(directory).eval()
    inputs = _inputs(directory, model)
    if inputs is None:
        _log.warning("not tried, %s reads no texts: load the result once", type(model).__name__)
        return
    try:
        with torch.inference_mode():
            model(**{name: value.to(model.device) for name, value in inputs.items()})
    except Exception as error:
        raise RecipeError(
            f"`format=bitsandbytes`: the result does not answer ({first_line(error)}); use `format=packed`"
        ) from error


def _inputs(directory: Path, model: Any) -> dict[str, torch.Tensor] | None:
    """Return a text as the model reads it; without a tokenizer some ids."""
    if model.main_input_name != "input_ids":
        return None
    try:
        row = load_tokenizer(directory)(_TEXT, return_tensors="pt")
        inputs = dict(row)
    except TokenizerError:
        inputs = {"input_ids": torch.arange(8)[None] % model.config.get_text_config().vocab_size}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    return inputs
