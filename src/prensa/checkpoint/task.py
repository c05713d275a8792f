"""What a model is for, from its class and its labels: how its outputs are compared and its card is tagged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers.modelcard import TASK_MAPPING
from transformers.models.auto import modeling_auto

from prensa.checkpoint.kinds import Kind, Task, without_duplicates
from prensa.checkpoint.roles import model_class, names_in, own_code_of
from prensa.errors import ModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_KINDS: dict[str, Kind] = {
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
_READ_ONCE = {"text-classification", "token-classification", "question-answering", "feature-extraction"}
"""Tasks whose answers come from one pass over the text, whatever halves the model has."""


def pipeline_tag(config: PretrainedConfig) -> str:
    """Return the hub's name of what the model does (``text-classification`` …), empty if unknown."""
    name = model_class(config).__name__
    # The library's tables do not list own code: only its auto class says what it is for.
    own_code, _ = own_code_of(config)
    if own_code:
        return _TAGS_OF_OWN_CODE.get(own_code, "")
    for tag, classes in TASK_MAPPING.items():
        if name in names_in(classes):
            return str(tag)
    for encoders in (modeling_auto.MODEL_MAPPING_NAMES, modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES):
        if name in names_in(encoders):
            return "feature-extraction"
    return ""


def task_of(config: PretrainedConfig) -> Task | None:
    """Return the task of a model of texts, None if it is none of those that can be compared."""
    tag = pipeline_tag(config)
    labels = without_duplicates(_names_of_labels(config))
    if tag == "text-classification":
        return _task_of_classifier(config, labels)
    if tag == "token-classification":
        return Task("tokens", labels)
    if tag not in _KINDS or _has_decoder(config):
        return None
    return Task(_KINDS[tag])


def _names_of_labels(config: PretrainedConfig) -> list[str]:
    """Return the names in the order of the outputs. Raises :class:`ModelError` where some have none."""
    numbers = sorted(config.id2label)
    if numbers != list(range(len(numbers))):
        found = ", ".join(map(str, numbers))
        raise ModelError(
            f"{config.name_or_path}: `id2label` in config.json has {found}, expected 0 to "
            f"{len(numbers) - 1}; name each output of the model"
        )
    return [str(config.id2label[number]) for number in numbers]


def judged_task_of(config: PretrainedConfig) -> Task | None:
    """Return the task of a model that results can be compared with.

    Those are all that :func:`task_of` knows, models that answer questions from a context, and those that
    write a text for another.
    """
    task = task_of(config)
    if task is None and pipeline_tag(config) == "question-answering":
        return Task("questions")
    # By its class, not its tag: the library lists BART among the models that fill masks.
    writers = names_in(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
    if task is None and model_class(config).__name__ in writers:
        return Task("writing")
    return task


def _task_of_classifier(config: PretrainedConfig, labels: tuple[str, ...]) -> Task | None:
    if config.problem_type == "multi_label_classification":
        return Task("multi-label", labels)
    if len(labels) == 1:
        return Task("regression")
    # Several numbers for a text: no one figure could say how far they are from others.
    if config.problem_type == "regression":
        return None
    return Task("classes", labels)


def _has_decoder(config: PretrainedConfig) -> bool:
    """Whether the class has two halves."""
    # The config of T5 says so even for the class that is its encoder alone.
    name = model_class(config).__name__
    encoders = names_in(modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES)
    return bool(config.is_encoder_decoder) and name not in encoders


def unserved(config: PretrainedConfig) -> str:
    """Report what a model does that no runtime serves, and what can run it; empty if it can be served."""
    name = model_class(config).__name__
    if name in names_in(modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES):
        return "chooses one of several texts; load it without a runtime and call it in PyTorch"
    if _has_decoder(config) and pipeline_tag(config) not in _READ_ONCE:
        return "has an encoder and a decoder that writes texts; load it without a runtime and call generate()"
    return ""


def unanswered(config: PretrainedConfig) -> str:
    """Report what a model does that ``predict()`` has no answers of, and what can run it."""
    tag = pipeline_tag(config)
    reason = unserved(config)
    if reason:
        return reason
    if tag == "text-classification":
        return "gives several numbers for a text (problem_type); call it with tokenizer output"
    if tag and tag not in _WITHOUT_PIPELINE:
        return f'is a model for {tag}; use transformers.pipeline("{tag}") and load it without a runtime'
    return "is a model for something else; load it without a runtime and call it in PyTorch"
