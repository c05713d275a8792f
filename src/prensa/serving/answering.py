"""Choose how a model's inputs are read and its outputs become answers, from its task."""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.kinds import ANSWERED
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.errors import DataError
from prensa.serving.answers import Answering, OfTexts
from prensa.serving.exported import STARTS, Record
from prensa.serving.facts import Facts
from prensa.serving.spans import OfQuestions, OfWords
from prensa.texts.reader import Reader


def answering_of(
    path: Path, record: Record, facts: Facts, reader: Reader, prompt_name: str | None = None
) -> Answering:
    """Return how the model in a directory answers texts, with one of its prompts before each if it is named.

    Raises :class:`DataError` where the model's task has no answers or it has no such prompt, and
    :class:`~prensa.errors.ModelError` for a module of Sentence Transformers that is not computed here.
    """
    limit = record.longest
    prompt = None
    if prompt_name is not None:
        prompt = _prompt(path, prompt_name)
    if record.output == STARTS:
        return OfQuestions(reader, limit)
    task = facts.task
    if task is None or task.kind not in ANSWERED:
        # Imported here, as is what makes vectors: all else is answered without PyTorch and transformers.
        from prensa.checkpoint.roles import load_config
        from prensa.checkpoint.task import unanswered

        reason = unanswered(load_config(path))
        raise DataError(f"{path}: predict() has no answers: {facts.class_name} {reason}")
    if task.kind == "tokens":
        return OfWords(reader, limit, task.labels)
    labels = task.labels
    # Without that setting the pipeline takes a single number for the logit of a label.
    if task.kind == "regression" and not facts.is_number:
        labels = facts.names
    vector = None
    if task.kind == "embedding":
        from prensa.runtime.text_vector import read_text_vector

        vector = read_text_vector(path, task.kind, prompt)
    return OfTexts(reader, limit, task.kind, labels, vector, prompt)


def _prompt(path: Path, name: str) -> str:
    chain = read_chain(path)
    prompts = {} if chain is None else chain.prompts
    if name in prompts:
        return prompts[name]
    reason = "it has none, not being of Sentence Transformers"
    if prompts:
        reason = f"it has {', '.join(prompts)}"
    raise DataError(f"{path}: no prompt {name!r}; {reason}")
