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
# Names on the hub of what transformers 5 has no pipeline for, or none that takes a model of vectors alone.
_WITHOUT_PIPELINE = {"question-answering", "text2text-generation", "feature-extraction"}


class SharedLabel(str):
    """A label whose name several outputs have in ``config.json``; the later ones get a number (``other_1``).

    The ``shared`` name does not tell which is meant.
    """

    __slots__ = ("shared",)
    shared: str


@dataclass(frozen=True)
class Task:
    """What a model is for. ``labels`` are in the order of their ids, empty where there are none.

    No two are the same: see :class:`SharedLabel`.
    """

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
    encoders = (modeling_auto.MODEL_MAPPING_NAMES, modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES)
    return "feature-extraction" if any(name in names_in(table) for table in encoders) else ""


def task_of(config: Any) -> Task | None:
    """Return the task of a model of texts, None where it is none of those that can be compared."""
    tag = pipeline_tag(config)
    labels = _told_apart([str(config.id2label[index]) for index in sorted(config.id2label)])
    if tag == "text-classification":
        if config.problem_type == "multi_label_classification":
            return Task("multi-label", labels)
        if len(labels) == 1:
            return Task("regression")
        return None if config.problem_type == "regression" else Task("classes", labels)
    if tag not in _KINDS or (tag != "token-classification" and _has_decoder(config)):
        return None
    return Task(_KINDS[tag], labels if tag == "token-classification" else ())


def _has_decoder(config: Any) -> bool:
    """Whether the class has two halves: of T5 and its like there are encoders alone."""
    name = model_class(config).__name__
    return bool(config.is_encoder_decoder) and name not in names_in(
        modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES
    )


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Give each name that was there before a number, one that makes it new."""
    found: list[str] = []
    for name in names:
        own, number = name, 0
        while own in found or (number and own in names):
            number += 1
            own = f"{name}_{number}"
        if names.count(name) > 1:
            own = SharedLabel(own)
            own.shared = name
        found.append(own)
    return tuple(found)


def unserved(config: Any) -> str:
    """Say what a model does that no runtime serves, and what can run it; empty for one that can be served."""
    name, tag = model_class(config).__name__, pipeline_tag(config)
    if name in names_in(modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES):
        return "chooses one of several texts; load it without a runtime and call it in PyTorch"
    is_read_once = tag in {"text-classification", "token-classification", "question-answering"}
    if _has_decoder(config) and not is_read_once and tag != "feature-extraction":
        return "has an encoder and a decoder that writes texts; load it without a runtime and call generate()"
    return ""


def unanswered(config: Any) -> str:
    """Say what a model does that ``predict()`` has no answers of, and what can run it."""
    tag = pipeline_tag(config)
    if found := unserved(config):
        return found
    if tag == "text-classification":
        return "gives several numbers for a text (problem_type); call it with tokenizer output"
    if tag == "question-answering":
        return "answers questions; predict() gives its answers"
    if tag and tag not in _WITHOUT_PIPELINE:
        return f'is a model for {tag}; use transformers.pipeline("{tag}") and load it without a runtime'
    return "is a model for something else; load it without a runtime and call it in PyTorch"
