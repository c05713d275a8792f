"""Models that cannot be exported or served, by their class: known before a weight is read."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.inputs import check_reads_texts
from prensa.checkpoint.roles import model_class
from prensa.checkpoint.setfit import check_no_pickled_head
from prensa.checkpoint.task import unserved
from prensa.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_NOT_TRACED = {
    "big_bird": "its attention chooses blocks at random, by the length of each text",
    "canine": "it reads characters in windows whose number depends on the length of each text",
    "funnel": "it shortens each text by its length",
    "led": "its attention works in windows whose number depends on the length of each text",
    "longformer": "its attention works in windows whose number depends on the length of each text",
    "reformer": "its attention sorts tokens into buckets at random",
}
"""Model types that PyTorch cannot export with a free length, and why."""


def check_served(path: Path, config: PretrainedConfig) -> None:
    """Raise :class:`ModelError` for a model that reads no texts, or does not answer one alone."""
    check_no_pickled_head(path)
    check_reads_texts(path, config)
    reason = unserved(config)
    if reason:
        name = model_class(config).__name__
        raise ModelError(f"{path}: cannot be exported or served: {name} {reason}")


def check_exported(path: Path, config: PretrainedConfig) -> None:
    """Raise :class:`ModelError` for a model that cannot be exported."""
    check_served(path, config)
    kind = model_class(config)
    if _has_decoder(kind):
        what = f"{kind.__name__}, an encoder and a decoder"
        # Such a class would be one encoder and one answer, but for that position.
        if kind.__name__.endswith("ForSequenceClassification"):
            what += ", which reads the position of its last </s>,"
        raise ModelError(f"{path}: {what} cannot be exported; use prensa.load(path, runtime='torch')")
    if config.model_type in _NOT_TRACED:
        raise ModelError(
            f"{path}: {kind.__name__} cannot be exported: {_NOT_TRACED[config.model_type]}; "
            "use prensa.load(path, runtime='torch')"
        )


def _has_decoder(kind: type[PreTrainedModel]) -> bool:
    return "decoder_input_ids" in inspect.signature(kind.forward).parameters
