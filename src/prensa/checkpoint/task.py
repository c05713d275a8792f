"""What a model is for, from its class and its labels: how its outputs are compared and its card is tagged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from transformers.modelcard import TASK_MAPPING
from transformers.models.auto import modeling_auto

from prensa.checkpoint.roles import model_class, names_in, own_code_of

Kind = Literal["classes", "multi-label", "regression", "tokens", "masked", "causal", "embedding"]
"""What the outputs are.

``classes``      one of several labels for a text
``multi-label``  any number of labels for a text
``regression``   one number for a text
``tokens``       one of several labels for each word
``masked``       a word in place of a mask
``causal``       the next word
``embedding``    a vector for a text
"""

LANGUAGE: frozenset[Kind] = frozenset({"masked", "causal"})
"""The kinds of language models."""

_KINDS: dict[str, Kind] = {
    "token-classification": "tokens",
    "fill-mask": "masked",
    "text-generation": "causal",
    "feature-extraction": "embedding",
}


_TAGS_OF_OWN_CODE = {
    "AutoModel": "feature-extraction",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
}


@dataclass(frozen=True)
class Task:
    """What a model is for. ``labels`` are in the order of their ids, empty where there are none."""

    kind: Kind
    labels: tuple[str, ...] = ()


def pipeline_tag(config: Any) -> str:
    """Return the hub's name of what the model does (``text-classification`` …), empty where unknown."""
    name = model_class(config).__name__
    own_code, _ = own_code_of(config)
    if own_code:  # of which its auto class alone says what it is for
        return _TAGS_OF_OWN_CODE.get(own_code, "")
    tags: dict[str, Any] = TASK_MAPPING
    for tag, classes in tags.items():
        if name in names_in(classes):
            return tag
    return "feature-extraction" if name in names_in(modeling_auto.MODEL_MAPPING_NAMES) else ""


def task_of(config: Any) -> Task | None:
    """Return the task of a model of texts, None where it is none of those that can be compared."""
    tag = pipeline_tag(config)
    labels = tuple(str(config.id2label[index]) for index in sorted(config.id2label))
    if tag == "text-classification":
        if config.problem_type == "multi_label_classification":
            return Task("multi-label", labels)
        if len(labels) == 1:
            return Task("regression")
        return None if config.problem_type == "regression" else Task("classes", labels)
    if tag not in _KINDS or (tag != "token-classification" and config.is_encoder_decoder):
        return None
    return Task(_KINDS[tag], labels if tag == "token-classification" else ())
