"""A model ready to answer, whatever runs it: called with tokenizer output, or given texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
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
from prensa.errors import DataError, OnlyAnswersError, SettingError
from prensa.isolation import as_usual_in_thread, building
from prensa.runtime.text_vector import read_text_vector
from prensa.serving.answers import Answer, Answering, Numbers, OfTexts, Window
from prensa.serving.exported import Engine, Record, whole
from prensa.serving.inputs import read_inputs
from prensa.serving.program import LOGITS, STARTS
from prensa.serving.spans import OfQuestions, OfWords
from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Row, pad, unread
from prensa.texts.given import read_given
from prensa.texts.tokenizers import alone, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Values: TypeAlias = Tensor | NDArray[np.generic] | Sequence[Sequence[float]]
"""What a tokenizer gives of some texts, ``[batch, length]``."""

Reload: TypeAlias = "Callable[[], Served]"
"""Loads the same model once more, with the same settings, also in another process."""

# Tokens of a batch. What attention takes grows with the square, and runtimes never give it back.
_TOKENS = 4096
# Batches whose texts are sorted by length together.
_AHEAD = 16

# What some models have, in their classes or their instances.
_OF_MODELS = {"generate", "training"}

_ANSWERED: set[Kind] = {"classes", "multi-label", "regression", "embedding", "tokens"}


class Served:
    """A model in some runtime. ``transformers.pipeline`` takes it in place of a PyTorch model.

    It may be shared by threads and used after a fork. To pickle or copy it is to load its directory again.
    """

    device = torch.device("cpu")
    dtype = torch.float32
    input_modalities = ("text",)
    hf_device_map = None

    def __init__(self, engine: Engine, record: Record, path: Path, again: Reload | None = None) -> None:
        """Put an engine behind the interface; ``path`` has its config and tokenizer.

        Without ``again`` it cannot be pickled or copied.
        """
        self.engine = engine
        self.record = record
        # The working directory may be another one when the tokenizer is read.
        self.path = path.absolute()
        self._again = again
        self.name_or_path = str(path)
        # What is read later is read by the same rules.
        self._allowed = dataclasses.asdict(allowed())
        self.config = load_config(path)
        self._kind = model_class(self.config)
        # Pipelines look at the name of the class to see whether it does their task.
        self.__class__ = type(self._kind.__name__, (Served,), {})

    def __reduce__(self) -> tuple[Reload, tuple[()]]:
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
        call = f"prensa.load({str(self.path)!r})"
        # An export has rows to compare with, and PyTorch cannot load it.
        if self.record.rows:
            call = "prensa.load(path), path being the model it was exported from,"
        raise OnlyAnswersError(
            f"{name} is not available: a model loaded for {self.record.runtime} only answers; "
            f"use {call} without a runtime"
        )

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        # The first callers may be several threads: one of them loads it, and all get that one.
        with building():
            own = vars(self)
            if "tokenizer" not in own:
                with allowing(**self._allowed):
                    own["tokenizer"] = load_tokenizer(self.path)
            return own["tokenizer"]

    @as_usual_in_thread()
    def __call__(
        self,
        input_ids: Values | None = None,
        attention_mask: Values | None = None,
        token_type_ids: Values | None = None,
        **others: object,
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Answer what a tokenizer gives, tensors or arrays ``[batch, length]``, with ``.logits``.

        A model without a head gives ``.last_hidden_state``, one that answers questions ``.start_logits`` and
        ``.end_logits``. Raises :class:`DataError` for inputs that it cannot answer: too long, ids that it
        does not have, shapes that do not fit.
        """
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            **others,
        }
        inputs = read_inputs(given, self.record, self.config)
        tensors = [torch.from_numpy(array) for array in self.engine(inputs)]
        output = self._output(tensors)
        if others.get("return_dict") is False:
            return output.to_tuple()
        return output

    def _output(self, tensors: Sequence[Tensor]) -> ModelOutput:
        if self.record.output == LOGITS:
            return SequenceClassifierOutput(logits=tensors[0])
        if self.record.output == STARTS:
            return QuestionAnsweringModelOutput(start_logits=tensors[0], end_logits=tensors[1])
        return BaseModelOutput(last_hidden_state=tensors[0])

    forward = __call__

    def eval(self) -> Served:
        """Do nothing: it never trains."""
        return self

    def to(self, *_: object, **__: object) -> Served:
        """Stay where it is."""
        return self

    def can_generate(self) -> bool:
        """Return False, for pipelines: it writes no texts."""
        return False

    def predict(
        self, texts: Iterable[object], *, batch_size: int = 32, prompt_name: str | None = None
    ) -> Iterator[Answer]:
        """Answer texts, in their order, as they come.

        A text is a string; two that are read together are ``(a, b)``, ``[a, b]`` or ``{"text": a,
        "text_pair": b}``, a question is ``{"question": …, "context": …}``. Of some batches at a time texts of
        like length are answered together, long ones fewer at a time. ``prompt_name`` chooses one of the
        prompts of a Sentence Transformers model to stand before each text.

        Raises :class:`SettingError` for a batch size below 1, :class:`DataError` for what is no text, naming
        its index, or where the model's task has no answers, and :class:`~prensa.errors.ModelError` for a
        module of Sentence Transformers that is not computed here.
        """
        if batch_size < 1:
            raise SettingError(f"`batch_size` must be at least 1, found {batch_size}")
        if isinstance(texts, (str, bytes, Mapping)):
            raise DataError("predict() takes many texts, found one; put it in a list")
        with allowing(**self._allowed):
            answering = self._answering(prompt_name)
        remaining = iter(texts)
        done = 0
        while True:
            some = list(islice(remaining, _AHEAD * batch_size))
            if not some:
                return
            yield from self._answers(some, done, answering, batch_size)
            done += len(some)

    def _answering(self, prompt_name: str | None) -> Answering:
        limit = self.record.longest
        prompt = None
        if prompt_name is not None:
            prompt = self._prompt(prompt_name)
        if self.record.output == STARTS:
            return OfQuestions(self.tokenizer, limit)
        task = task_of(self.config)
        if task is None or task.kind not in _ANSWERED:
            name = type(self).__name__
            reason = unanswered(self.config)
            raise DataError(f"{self.path}: predict() has no answers: {name} {reason}")
        if task.kind == "tokens":
            return OfWords(self.tokenizer, limit, task.labels)
        labels = task.labels
        # Without that setting the pipeline takes a single number for the logit of a label.
        if task.kind == "regression" and self.config.problem_type != "regression":
            labels = tuple(map(str, self.config.id2label.values()))
        return OfTexts(
            self.tokenizer,
            limit,
            task.kind,
            labels,
            read_text_vector(self.path, task.kind, prompt),
            prompt,
        )

    def _prompt(self, name: str) -> str:
        chain = read_chain(self.path)
        prompts = {} if chain is None else chain.prompts
        if name in prompts:
            return prompts[name]
        reason = "it has none, not being of Sentence Transformers"
        if prompts:
            reason = f"it has {', '.join(prompts)}"
        raise DataError(f"{self.path}: no prompt {name!r}; {reason}")

    # Not around predict(): what the caller does between two answers is the caller's.
    @as_usual_in_thread()
    def _answers(
        self, texts: Sequence[object], first: int, answering: Answering, batch_size: int
    ) -> list[Answer]:
        """Answer some texts, of which ``first`` is the number of the first."""
        given = []
        for number, text in enumerate(texts, first):
            one = read_given(text, number, answering.wanted)
            given.append(one)
        with alone(self.tokenizer):
            windows = answering.read(given, first)
        rows = [window.row for window in windows]
        outputs = self._outputs(rows, answering.kind, batch_size)

        # A text that is longer than the model reads may have several windows.
        own_windows: list[list[Window]] = [[] for _ in given]
        own_outputs: list[list[Numbers]] = [[] for _ in given]
        for window, output in zip(windows, outputs, strict=True):
            own_windows[window.owner].append(window)
            own_outputs[window.owner].append(output)
        return list(map(answering.answer, given, own_windows, own_outputs))

    def _outputs(self, rows: Sequence[Row], kind: Kind, batch_size: int) -> list[Numbers]:
        """Return what the model gives for each row, without padding."""
        padding = unread(self.tokenizer, kind)
        lengths = [len(row["input_ids"]) for row in rows]
        numbers: dict[int, Numbers] = {}
        for batch in by_tokens(lengths, _TOKENS, most=batch_size):
            batch_rows = [rows[index] for index in batch]
            inputs = pad(batch_rows, padding, "cpu")
            tensors = self(**inputs, return_dict=False)
            arrays = [tensor.numpy() for tensor in tensors]
            for index, output in zip(batch, whole(arrays), strict=True):
                # Of vectors or labels of tokens, those of padding go.
                numbers[index] = output
                if output.ndim > 1:
                    numbers[index] = output[: lengths[index]]
        return [numbers[index] for index in range(len(rows))]
