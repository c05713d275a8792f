"""Choose how a model's inputs are read and its outputs become answers, from its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prensa.checkpoint.kinds import Kind
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.errors import DataError
from prensa.serving.answers import Answering, OfTexts
from prensa.serving.exported import STARTS
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
        return OfQuestions(served.reader, limit)
    task = served.facts.task
    if task is None or task.kind not in _ANSWERED:
        # Imported here, as is what makes vectors: all else is answered without PyTorch and transformers.
        from prensa.checkpoint.task import unanswered

        name = type(served).__name__
        raise DataError(f"{served.path}: predict() has no answers: {name} {unanswered(served.config)}")
    if task.kind == "tokens":
        return OfWords(served.reader, limit, task.labels)
    labels = task.labels
    # Without that setting the pipeline takes a single number for the logit of a label.
    if task.kind == "regression" and not served.facts.is_number:
        labels = served.facts.names
    vector = None
    if task.kind == "embedding":
        from prensa.runtime.text_vector import read_text_vector

        vector = read_text_vector(served.path, task.kind, prompt)
    return OfTexts(served.reader, limit, task.kind, labels, vector, prompt)


def _prompt(served: Served, name: str) -> str:
    chain = read_chain(served.path)
    prompts = {} if chain is None else chain.prompts
    if name in prompts:
        return prompts[name]
    reason = "it has none, not being of Sentence Transformers"
    if prompts:
        reason = f"it has {', '.join(prompts)}"
    raise DataError(f"{served.path}: no prompt {name!r}; {reason}")
