"""One answer of a result, before it counts as done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.errors import RecipeError, TokenizerError, first_line
from prensa.extras import EXTRAS, is_installed
from prensa.runtime.torch import load
from prensa.texts.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)
_TEXT = "A short text."
# Ids that take the place of a text.
_IDS = 8


def check_answers(directory: Path) -> None:
    """Load a model in bitsandbytes' format and let it answer one text.

    Where bitsandbytes is not installed, or the model reads no texts, it is not tried, and the log says so.
    Raises :class:`RecipeError` where it does not answer: a layer is then stored in a form that its
    module does not take.
    """
    for module, package in EXTRAS["bitsandbytes"].items():
        if not is_installed(module):
            _log.warning(
                "not tried, %s is not installed here: load the result once where it will run", package
            )
            return
    model = load(directory).eval()
    inputs = _inputs(directory, model)
    if inputs is None:
        _log.warning("not tried, %s reads no texts: load the result once", type(model).__name__)
        return
    try:
        with torch.inference_mode():
            model(**inputs)
    except Exception as error:
        raise RecipeError(
            f"`format=bitsandbytes`: the result does not answer ({first_line(error)}); use `format=packed`"
        ) from error


def _inputs(directory: Path, model: PreTrainedModel) -> dict[str, torch.Tensor] | None:
    """Return a text as the model reads it, on its device; without a tokenizer some ids."""
    if model.main_input_name != "input_ids":
        return None
    try:
        tokenizer = load_tokenizer(directory)
        inputs = dict(tokenizer(_TEXT, return_tensors="pt"))
    except TokenizerError:
        # Modulo, for a vocabulary that has fewer.
        rows = model.config.get_text_config().vocab_size
        inputs = {"input_ids": torch.arange(_IDS)[None] % rows}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    return {name: value.to(model.device) for name, value in inputs.items()}
