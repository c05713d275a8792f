"""The one judge: the answers of the original once, then the quality of any result against them.

:func:`plan_judge` reads the original's config and tokenizer and the texts, and fails there if it can. A
:class:`Judge` loads models. Evaluations, searches, frontiers and exports with a budget all ask it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prensa.checkpoint.inputs import check_reads_texts
from prensa.checkpoint.kinds import LANGUAGE, Task
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.task import judged_task_of, unanswered
from prensa.errors import DataError, ModelError, SettingError, TokenizerError
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Quality, in_words
from prensa.evaluation.original import check_finite, check_not_constant
from prensa.evaluation.predict import Output, answer_texts
from prensa.evaluation.quality import Outputs, compare
from prensa.evaluation.rank_metrics import check_installed
from prensa.evaluation.reading import Reading, common_words, read_by, readable
from prensa.evaluation.similarity import similarity_of
from prensa.evaluation.terms import Terms, terms_of
from prensa.progress import Progress, silent
from prensa.runtime.devices import choose_device, choose_dtype
from prensa.runtime.text_vector import read_text_vector
from prensa.serving.exported import is_export
from prensa.serving.load import load_to_compare
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded, largest_id
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import check_ids, embedding_rows, load_tokenizer, longest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prensa.serving.served import Served

_BATCH = {"masked": 8, "causal": 8, "writing": 8}
_USUAL_BATCH = 32


@dataclass(frozen=True)
class JudgePlan:
    """An original, the texts as it reads them, and where models answer: all that is known without weights.

    ``notes`` say what a user should know of the original's checkpoint. ``terms`` are what results are judged
    by, where that is not what is usual for the task.
    """

    path: Path
    task: Task
    texts: Texts
    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    encoded: Encoded
    device: str
    dtype: torch.dtype | str
    batch_size: int
    library: Library
    notes: tuple[str, ...] = ()
    terms: Terms = field(default_factory=Terms)

    def in_terms_of(self, budget: Budget) -> JudgePlan:
        """Judge by what a budget names. Raises as :func:`~prensa.evaluation.terms.terms_of`."""
        terms = terms_of(budget, self.task, self.texts)
        if self.texts.queries is not None and self.task.kind == "embedding":
            terms = dataclasses.replace(terms, similarity=similarity_of(self.path))
        return dataclasses.replace(self, terms=terms)

    def take(self, indices: Sequence[int]) -> JudgePlan:
        """Keep some of the texts."""
        encoded = Reading(self.encoded).take(indices).encoded
        return dataclasses.replace(self, texts=self.texts.take(indices), encoded=encoded)

    def read_by(self, result: Path, texts: Texts, encoded: Encoded) -> Reading:
        """Return how a result reads texts that the original reads as ``encoded``."""
        return read_by(result, self.path, self.tokenizer, texts, encoded, self.max_length, self.library)


def plan_judge(
    original: Path,
    data: Source,
    *,
    library: Library,
    batch_size: int | None = None,
    max_length: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: Progress = silent,
) -> JudgePlan:
    """Read what a judge needs beside weights: config, tokenizer, and the texts in ``data``.

    ``batch_size`` and ``max_length`` (in tokens) are None for the usual ones. Raises the
    :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    _check_at_least_one("limit", data.limit)
    _check_at_least_one("batch_size", batch_size)
    _check_at_least_one("max_length", max_length)
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device)
    if is_export(original):
        raise ModelError(f"{original}: an export cannot be the original; name the model it was made from")
    task = _task(original)
    notes = check_names(original)
    read_text_vector(original, task.kind)  # what it cannot compute it refuses now
    tokenizer = load_tokenizer(original)
    if task.kind == "masked" and tokenizer.mask_token_id is None:
        raise TokenizerError(f"{original}: the tokenizer has no mask token, which comparing this task needs")
    config = load_config(original)
    limit = longest(tokenizer, config, max_length)
    texts = library.texts(data, task)
    if texts.queries is not None:
        check_installed(texts.name)
    step = functools.partial(progress, "tokenizing")
    encoded = library.encode(tokenizer, texts, task.kind, limit, step)
    check_ids(original, largest_id(encoded), embedding_rows(config))
    return JudgePlan(
        path=original,
        task=task,
        texts=texts,
        tokenizer=tokenizer,
        max_length=limit,
        encoded=encoded,
        device=chosen_device,
        dtype=chosen_dtype,
        # Language models give a number for each token of the vocabulary, so that fewer texts fit.
        batch_size=batch_size or _BATCH.get(task.kind, _USUAL_BATCH),
        library=library,
        notes=notes,
    )


def check_same_task(path: Path, task: Task) -> None:
    """Raise :class:`ModelError` where a result does not answer what its original answers."""
    other = judged_task_of(load_config(path))
    if other is None or other.kind != task.kind:
        kind = "something else" if other is None else other.kind
        raise ModelError(
            f"{path}: is a model for {kind}, the original for {task.kind}; compare models of the same task"
        )
    if other.labels != task.labels:
        raise ModelError(
            f"{path}: has the labels {', '.join(other.labels)}, the original {', '.join(task.labels)}; "
            "compare a model with the one it was made from"
        )


class Judge:
    """Compares results with one original.

    The original's answers are computed once and kept, except those of language models, whose outputs are
    too large: for them the original itself is kept.
    """

    def __init__(self, plan: JudgePlan) -> None:
        """Load nothing yet."""
        self.plan = plan
        self._answers: dict[int, Output] = {}
        self._original: PreTrainedModel | None = None

    def quality(
        self,
        result: Path,
        indices: Sequence[int] | None = None,
        *,
        draws: Draws | None = None,
        progress: Progress = silent,
    ) -> Quality:
        """Return how well a result does on the texts at ``indices``, on all of them by default.

        ``draws`` says how many resamples the intervals take. Raises :class:`ModelError` where the original
        gives no numbers, or the same ones for every text.
        """
        plan = self.plan
        if indices is None:
            indices = range(len(plan.texts))
        if plan.task.kind in LANGUAGE:
            indices = self._readable(result, indices)
        texts = plan.texts.take(indices)
        reading = Reading(plan.encoded).take(indices)
        readings = self._readings(result, texts, reading)
        if plan.task.kind in LANGUAGE:
            before, after = self._side_by_side(result, readings, progress)
        else:
            before = self._before(indices, readings[0], progress)
            (after,) = self._answer([result], readings[1:], progress)
        places = readings[0].encoded.places
        outputs = Outputs(plan.task, texts, places, before, after, plan.terms)
        quality = self.compared(outputs, draws or Draws())
        check_not_constant(plan.path, quality)
        return quality

    def own_quality(self, indices: Sequence[int], progress: Progress = silent) -> Quality | None:
        """Return how the original would do as its own result: as well as any result can.

        None for language models, whose answers are not kept. Raises as :meth:`quality`.
        """
        plan = self.plan
        if plan.task.kind in LANGUAGE:
            return None
        answers = self.answers(indices, progress)
        places = Reading(plan.encoded).take(indices).encoded.places
        outputs = Outputs(plan.task, plan.texts.take(indices), places, answers, answers, plan.terms)
        quality = self.compared(outputs, Draws())
        check_not_constant(plan.path, quality)
        if plan.terms.metric and quality.drop is None:
            raise DataError(
                f"{plan.path}: the original has no {in_words(plan.terms.metric)} (`metric`) on these texts, "
                "probably because it never gives that label; give other texts, or take another metric"
            )
        return quality

    def answers(self, indices: Sequence[int], progress: Progress = silent) -> list[Output]:
        """Return what the original answers to the texts at ``indices``, computed once."""
        missing = [index for index in indices if index not in self._answers]
        if missing:
            reading = Reading(self.plan.encoded).take(missing)
            (outputs,) = self._answer([self.plan.path], [reading], progress)
            self._answers.update(zip(missing, outputs, strict=True))
        return [self._answers[index] for index in indices]

    def learn(self, indices: Sequence[int], outputs: Sequence[Output]) -> None:
        """Take over what the original answers to these texts, from a judge that has asked it."""
        self._answers.update(zip(indices, outputs, strict=True))

    def knows(self, indices: Sequence[int]) -> bool:
        """Whether the original has answered these texts already."""
        return all(index in self._answers for index in indices)

    def compared(self, outputs: Outputs, draws: Draws) -> Quality:
        """Compare outputs. Raises :class:`ModelError` where the original gives NaN or infinity."""
        check_finite(self.plan.path, outputs.original)
        return compare(outputs, draws)

    def load(self, path: Path, reading: Reading) -> PreTrainedModel | Served:
        """Load a model where it is judged."""
        pad_id = reading.encoded.fill["input_ids"]
        return load_to_compare(path, self.plan.dtype, self.plan.device, pad_id)

    def _readable(self, result: Path, indices: Sequence[int]) -> list[int]:
        """Leave out texts that a trimmed vocabulary has not all tokens of."""
        kept = set(readable([result], self.plan.encoded))
        return [index for index in indices if index in kept]

    def _readings(self, result: Path, texts: Texts, reading: Reading) -> Sequence[Reading]:
        own = self.plan.read_by(result, texts, reading.encoded)
        if own.kept is None:
            return [reading, reading]
        return common_words([reading, own])

    def _before(self, indices: Sequence[int], reading: Reading, progress: Progress) -> list[Output]:
        """Return the original's answers; anew where the words that both models read are fewer than all."""
        has_all_words = reading.encoded.places == Reading(self.plan.encoded).take(indices).encoded.places
        if has_all_words:
            return self.answers(indices, progress)
        (outputs,) = self._answer([self.plan.path], [reading], progress)
        return outputs

    def _answer(
        self, paths: Sequence[Path], readings: Sequence[Reading], progress: Progress
    ) -> list[list[Output]]:
        """Load models, and return the answers of each in the order of the texts."""
        models = [self.load(path, reading) for path, reading in zip(paths, readings, strict=True)]
        return self._run(models, paths, readings, progress)

    def _side_by_side(
        self, result: Path, readings: Sequence[Reading], progress: Progress
    ) -> list[list[Output]]:
        if self._original is None:
            self._original = self.load(self.plan.path, Reading(self.plan.encoded))
        models = [self._original, self.load(result, readings[1])]
        return self._run(models, [self.plan.path, result], readings, progress)

    def _run(
        self,
        models: Sequence[PreTrainedModel | Served],
        paths: Sequence[Path],
        readings: Sequence[Reading],
        progress: Progress,
    ) -> list[list[Output]]:
        vectors = [read_text_vector(path, self.plan.task.kind) for path in paths]
        answers: list[dict[int, Output]] = [{} for _ in models]
        answer_texts(models, vectors, readings, self.plan.batch_size, answers, progress)
        in_order: list[list[Output]] = []
        for own in answers:
            in_order.append([own[index] for index in range(len(own))])
        return in_order


def _task(original: Path) -> Task:
    config = load_config(original)
    check_reads_texts(original, config)
    task = judged_task_of(config)
    if task is None:
        name = model_class(config).__name__
        what = unanswered(config).partition(";")[0]
        raise ModelError(
            f"{original}: cannot compare {name}, which {what}; Prensa compares classifiers, models of one "
            "number, models that answer questions or write texts, language models and embeddings of texts"
        )
    return task


def _check_at_least_one(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise SettingError(f"`{name}` must be at least 1, found {value}")
