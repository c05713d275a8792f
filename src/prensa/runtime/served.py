"""A model ready to answer, whatever runs it: called with tokenizer output, or given texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from prensa.checkpoint.roles import load_config, model_class
from prensa.checkpoint.task import Kind, Task, task_of
from prensa.errors import DataError, OnlyAnswersError
from prensa.isolation import as_usual_in_thread, building
from prensa.runtime.exported import Engine, Record
from prensa.runtime.inputs import read_inputs
from prensa.runtime.pooling import Pool, read_pool
from prensa.runtime.program import LOGITS
from prensa.texts.columns import Texts
from prensa.texts.encoding import encode, load_tokenizer, pad

_PIECES = 4096  # of a batch: what attention takes grows with the square, and runtimes never give it back
_AHEAD = 16  # batches whose texts are sorted by length together

_OF_MODELS = {"generate", "training"}  # of some classes, or of their instances

_ANSWERED: set[Kind] = {"classes", "multi-label", "regression", "embedding"}


@dataclass(frozen=True)
class Answer:
    """What a model makes of a text.

    ``scores`` are the probabilities of its labels, the likeliest first, empty where it has none; ``output``
    are its own numbers: logits, or the vector of the text.
    """

    output: NDArray[np.float32]
    scores: dict[str, float]

    @property
    def label(self) -> str | None:
        """The likeliest label."""
        return next(iter(self.scores), None)


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
                own["tokenizer"] = load_tokenizer(self.path)
            return own["tokenizer"]

    @cached_property
    def _pool(self) -> Pool:
        return read_pool(self.path)

    @as_usual_in_thread()
    def __call__(
        self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None, **others: Any
    ) -> Any:
        """Answer what a tokenizer gives, tensors or arrays ``[batch, length]``, with ``.logits``.

        A model without a head gives ``.last_hidden_state``. Raises :class:`DataError` for inputs that it
        cannot answer: too long, ids that it does not have, shapes that do not fit.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        inputs = read_inputs({**given, **others}, self.record, self.config)
        found = torch.from_numpy(self.engine(inputs)[0])
        output: SequenceClassifierOutput | BaseModelOutput
        if self.record.output == LOGITS:
            output = SequenceClassifierOutput(logits=found)
        else:
            output = BaseModelOutput(last_hidden_state=found)
        return output.to_tuple() if others.get("return_dict") is False else output

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

    def predict(self, texts: Iterable[str], *, batch_size: int = 32) -> Iterator[Answer]:
        """Answer texts, in their order, as they come.

        Of some batches at a time texts of like length are answered together, long ones fewer at a time.
        Raises :class:`DataError` for what is no text, or where the model's task has no answer for a whole
        text.
        """
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, found {batch_size}")
        task = task_of(self.config)
        if task is None or task.kind not in _ANSWERED:
            raise DataError(
                f"{self.path}: predict() answers whole texts, and this is a model for something else "
                f"({task.kind if task else type(self.config).__name__}); call it with tokenizer output"
            )
        if isinstance(texts, str):
            raise DataError("predict() takes many texts, found one; put it in a list")
        remaining = iter(texts)
        while some := list(islice(remaining, _AHEAD * batch_size)):
            yield from self._answers(some, task, batch_size)

    @as_usual_in_thread()  # not around predict(): what the caller does between two answers is the caller's
    def _answers(self, texts: list[str], task: Task, batch_size: int) -> list[Answer]:
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"predict() takes texts, found {text!r}")
        encoded = encode(self.tokenizer, Texts("texts", tuple(texts)), task.kind, self.record.longest)
        order = sorted(range(len(texts)), key=lambda i: -encoded.lengths[i])
        answers: dict[int, Answer] = {}
        while order:
            size = min(batch_size, max(1, _PIECES // encoded.lengths[order[0]]))
            chosen, order = order[:size], order[size:]
            batch = pad([encoded.rows[i] for i in chosen], encoded, "cpu")
            output = self(**batch)
            for at, index in enumerate(chosen):
                answers[index] = self._answer(output, batch, at, task.kind, task.labels)
        return [answers[index] for index in range(len(texts))]

    def _answer(
        self, output: Any, batch: dict[str, Tensor], at: int, kind: Kind, labels: tuple[str, ...]
    ) -> Answer:
        if kind == "embedding":
            part = slice(at, at + 1)
            pooled = self._pool(output.last_hidden_state[part], batch["attention_mask"][part])
            return Answer(pooled[0].numpy(), {})
        logits: Tensor = output.logits[at]
        shares = logits.sigmoid() if kind == "multi-label" else logits.softmax(dim=-1)
        scores = dict(zip(labels, shares.tolist(), strict=False)) if kind != "regression" else {}
        return Answer(logits.numpy(), dict(sorted(scores.items(), key=lambda item: -item[1])))
