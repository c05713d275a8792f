"""A model ready to answer, whatever runs it: called with tokenizer output, or given texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
)
from transformers.utils import ModelOutput

from prensa.checkpoint.allowed import allowed, allowing
from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.checkpoint.task import Kind, task_of, unanswered
from prensa.errors import DataError, OnlyAnswersError
from prensa.isolation import as_usual_in_thread, building
from prensa.runtime.text_vector import read_text_vector
from prensa.serving.answers import Answer, Answering, Numbers, OfTexts
from prensa.serving.exported import Engine, Record, whole
from prensa.serving.inputs import read_inputs
from prensa.serving.program import LOGITS, STARTS
from prensa.serving.spans import OfQuestions, OfWords
from prensa.texts.encoding import Row, pad, unread
from prensa.texts.given import read_given
from prensa.texts.tokenizers import alone, load_tokenizer

_PIECES = 4096  # of a batch: what attention takes grows with the square, and runtimes never give it back
_AHEAD = 16  # batches whose texts are sorted by length together

_OF_MODELS = {"generate", "training"}  # of some classes, or of their instances

_ANSWERED: set[Kind] = {"classes", "multi-label", "regression", "embedding", "tokens"}


class Served:
    """A model in some runtime. ``transformers.pipeline`` takes it in place of a PyTorch model.

    It may be shared by threads and used after a fork. To pickle or copy it is to load its directory again.
    """

    device = torch.device("cpu")
    dtype = torch.float32
    input_modalities = ("text",)
    hf_device_map = None

    def __init__(
        self, engine: Engine, record: Record, path: Path, again: Callable[[], Served] | None = None
    ) -> None:
        """Put an engine behind the interface; ``path`` has its config and tokenizer.

        ``again`` loads the same once more, with the same settings, also in another process.
        """
        self.engine, self.record = engine, record
        self.path = path.absolute()  # the working directory may be another one when the tokenizer is read
        self._again = again
        self.name_or_path = str(path)
        self._allowed = dataclasses.asdict(allowed())  # what is read later is read by the same rules
        self.config = load_config(path)
        self._kind = model_class(self.config)
        # Pipelines look at the name of the class to see whether it does their task.
        self.__class__ = type(self._kind.__name__, (Served,), {})

    def __reduce__(self) -> tuple[Callable[[], Served], tuple[()]]:
        if self._again is None:
            raise DataError(f"{self.path}: cannot be copied, it was not loaded with prensa.load")
        return self._again, ()

    def __copy__(self) -> Served:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __getattr__(self, name: str) -> NoReturn:
        """Explain what is missing. Raises :class:`OnlyAnswersError`, which is an :class:`AttributeError`."""
        kind = vars(self).get("_kind")
        if kind is None or not (hasattr(kind, name) or name in _OF_MODELS):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        is_export = bool(self.record.rows)
        path = "path), path being the model it was exported from," if is_export else f"{str(self.path)!r})"
        raise OnlyAnswersError(
            f"{name} is not available: a model loaded for {self.record.runtime} only answers; "
            f"use prensa.load({path} without a runtime"
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        with building():  # the first callers may be several
            own = vars(self)
            if "tokenizer" not in own:
                with allowing(**self._allowed):
                    own["tokenizer"] = load_tokenizer(self.path)
            return own["tokenizer"]

    @as_usual_in_thread()
    def __call__(
        self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None, **others: Any
    ) -> Any:
        """Answer what a tokenizer gives, tensors or arrays ``[batch, length]``, with ``.logits``.

        A model without a head gives ``.last_hidden_state``, one that answers questions ``.start_logits`` and
        ``.end_logits``. Raises :class:`DataError` for inputs that it cannot answer: too long, ids that it
        does not have, shapes that do not fit.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        inputs = read_inputs({**given, **others}, self.record, self.config)
        output = self._output([torch.from_numpy(each) for each in self.engine(inputs)])
        return output.to_tuple() if others.get("return_dict") is False else output

    def _output(self, found: Sequence[Tensor]) -> ModelOutput:
        if self.record.output == LOGITS:
            return SequenceClassifierOutput(logits=found[0])
        if self.record.output == STARTS:
            return QuestionAnsweringModelOutput(start_logits=found[0], end_logits=found[1])
        return BaseModelOutput(last_hidden_state=found[0])

    forward = __call__

    def eval(self) -> Served:
        """Do nothing: it never trains."""
        return self

    def to(self, *_: Any, **__: Any) -> Served:
        """Stay where it is."""
        return self

    def can_generate(self) -> bool:
        """Tell pipelines that it writes no texts."""
        return False

    def predict(
        self, texts: Iterable[Any], *, batch_size: int = 32, prompt_name: str | None = None
    ) -> Iterator[Answer]:
        """Answer texts, in their order, as they come.

        A text is a string; two that are read together are ``(a, b)``, ``[a, b]`` or ``{"text": a,
        "text_pair": b}``, a question is ``{"question": …, "context": …}``. Of some batches at a time texts of
        like length are answered together, long ones fewer at a time. ``prompt_name`` chooses one of the
        prompts of a Sentence Transformers model to stand before each text.

        Raises :class:`DataError` for what is no text, naming its index, or where the model's task has no
        answers, and :class:`~prensa.errors.ModelError` for a module of Sentence Transformers that is not
        computed here.
        """
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, found {batch_size}")
        if isinstance(texts, (str, bytes, Mapping)):
            raise DataError("predict() takes many texts, found one; put it in a list")
        with allowing(**self._allowed):
            answering = self._answering(prompt_name)
        remaining = iter(texts)
        done = 0
        while some := list(islice(remaining, _AHEAD * batch_size)):
            yield from self._answers(some, done, answering, batch_size)
            done += len(some)

    def _answering(self, prompt_name: str | None) -> Answering:
        limit = self.record.longest
        prompt = None if prompt_name is None else self._prompt(prompt_name)
        if self.record.output == STARTS:
            return OfQuestions(self.tokenizer, limit)
        task = task_of(self.config)
        if task is None or task.kind not in _ANSWERED:
            name = type(self).__name__
            raise DataError(f"{self.path}: predict() has no answers: {name} {unanswered(self.config)}")
        if task.kind == "tokens":
            return OfWords(self.tokenizer, limit, task.labels)
        labels = task.labels
        if task.kind == "regression" and self.config.problem_type != "regression":
            labels = tuple(map(str, self.config.id2label.values()))  # as the pipeline has it
        vector = read_text_vector(self.path, task.kind, prompt)
        return OfTexts(self.tokenizer, limit, task.kind, labels, vector, prompt)

    def _prompt(self, name: str) -> str:
        chain = read_chain(self.path)
        prompts = {} if chain is None else chain.prompts
        if name not in prompts:
            known = (
                f"it has {', '.join(prompts)}"
                if prompts
                else "it has none, not being of Sentence Transformers"
            )
            raise DataError(f"{self.path}: no prompt {name!r}; {known}")
        return prompts[name]

    @as_usual_in_thread()  # not around predict(): what the caller does between two answers is the caller's
    def _answers(
        self, texts: Sequence[Any], first: int, answering: Answering, batch_size: int
    ) -> list[Answer]:
        given = [read_given(each, at, answering.wanted) for at, each in enumerate(texts, first)]
        with alone(self.tokenizer):
            asked = answering.read(given, first)
        outputs = self._outputs([each.row for each in asked], answering.kind, batch_size)
        of_each: list[list[int]] = [[] for _ in given]
        for number, row in enumerate(asked):
            of_each[row.owner].append(number)
        return [
            answering.answer(one, [asked[i] for i in own], [outputs[i] for i in own])
            for one, own in zip(given, of_each, strict=True)
        ]

    def _outputs(self, rows: Sequence[Row], kind: Kind, batch_size: int) -> list[Numbers]:
        """Return what the model gives for each row, without padding."""
        padded = unread(self.tokenizer, kind)
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]["input_ids"]))
        found: dict[int, Numbers] = {}
        while order:
            size = min(batch_size, max(1, _PIECES // len(rows[order[0]]["input_ids"])))
            chosen, order = order[:size], order[size:]
            output = self(**pad([rows[i] for i in chosen], padded, "cpu"))
            numbers = whole([each.numpy() for each in output.to_tuple()])
            for index, own in zip(chosen, numbers, strict=True):
                length = len(rows[index]["input_ids"])
                found[index] = own if own.ndim == 1 else own[:length]
        return [found[index] for index in range(len(rows))]
