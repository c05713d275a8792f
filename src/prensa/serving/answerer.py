"""Choose how a model's inputs are read and its outputs become answers, from its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prensa.checkpoint.sentence_transformers import read_chain
from prensa.checkpoint.task import Kind, task_of, unanswered
from prensa.errors import DataError
from prensa.runtime.text_vector import read_text_vector
from prensa.serving.answers import Answering, OfTexts
from prensa.serving.program import STARTS
from prensa.serving.spans import OfQuestions, OfWords

if TYPE_CHECKING:
    from prensa.serving.served import Served

_ANSWERED: set[Kind] = {"classes", "multi-label", "regression", "embedding", "tokens"}


def answering_of(served: Served, prompt_name: str | None = None) -> Answering:
    """Return how a model answers texts, with one of its prompts before each if it is named.

    Raises :class:`DataError` where the model's task has no answers or it has no such prompt, and
    :class:`~prensa.errors.ModelError` for a module of Sentence Transformers that is not computed here.
    """
    limit = served.record.longest
    prompt = None
    if prompt_name is not None:
        prompt = _prompt(served, prompt_name)
    if served.record.output == STARTS:
        return OfQuestions(served.tokenizer, limit)
    task = task_of(served.config)
    if task is None or task.kind not in _ANSWERED:
        name = type(served).__name__
        reason = unanswered(served.config)
        raise DataError(f"{served.path}: predict() has no answers: {name} {reason}")
    if task.kind == "tokens":
        return OfWords(served.tokenizer, limit, task.labels)
    labels = task.labels
    # Without that setting the pipeline takes a single number for the logit of a label.
    if task.kind == "regression" and served.config.problem_type != "regression":
        labels = tuple(map(str, served.config.id2label.values()))
    return OfTexts(
        served.tokenizer,
        limit,
        task.kind,
        labels,
        read_text_vector(served.path, task.kind, prompt),
        prompt,
    )


def _prompt(served: Served, name: str) -> str:
    chain = read_chain(served.path)
    prompts = {} if chain is None else chain.prompts
    if name in prompts:
        return prompts[name]
    reason = "it has none, not being of Sentence Transformers"
    if prompts:
        reason = f"it has {', '.join(prompts)}"
    raise DataError(f"{served.path}: no prompt {name!r}; {reason}")
