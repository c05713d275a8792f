"""A model ready to answer, whatever runs it: called with tokenizer output, or given texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prensa.arithmetic import usual_arithmetic
from prensa.checkpoint.allowed import allowed, allowing
from prensa.checkpoint.kinds import Kind
from prensa.errors import DataError, ModelError, OnlyAnswersError, SettingError
from prensa.serving.answering import answering_of
from prensa.serving.answers import NO_NUMBER, Answer, Answering, Numbers, put_together
from prensa.serving.desk import Desk
from prensa.serving.exported import Engine, Record, whole
from prensa.serving.facts import facts_of, still_known
from prensa.serving.in_threads import Leaver, in_thread
from prensa.serving.inputs import read_inputs
from prensa.serving.waiting import Request
from prensa.sharing import building
from prensa.texts.encoding import Row, padded, unread
from prensa.texts.given import read_given
from prensa.texts.plain_tokenizer import PlainTokenizer
from prensa.texts.reader import Reader, alone

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.utils import ModelOutput

Values: TypeAlias = "Tensor | NDArray[np.generic] | Sequence[Sequence[float]]"
"""What a tokenizer gives of some texts, ``[batch, length]``."""

Reload: TypeAlias = "Callable[[], Served]"
"""Loads the same model once more, with the same settings, also in another process."""

# Batches whose texts are sorted by length together.
_AHEAD = 16

# What some models have, in their classes or their instances.
_OF_MODELS = {"generate", "training"}


class Served:
    """A model in some runtime. ``transformers.pipeline`` takes it in place of a PyTorch model.

    It may be shared by threads and used after a fork. To pickle or copy it is to load its directory again.

    ``config``, ``tokenizer`` and a call with tokens are those of ``transformers``, which is imported when one
    of them is wanted. Where the record of an export has what is needed, texts are answered without it.
    """

    input_modalities = ("text",)
    hf_device_map = None

    def __init__(self, engine: Engine, record: Record, path: Path, again: Reload | None = None) -> None:
        """Put an engine behind the interface; ``path`` has its config and tokenizer.

        Without ``again`` it cannot be pickled or copied.
        """
        self.engine = engine
        self.record = record
        self.desk = Desk()
        # The working directory may be another one when the tokenizer is read.
        self.path = path.absolute()
        self._again = again
        self.name_or_path = str(path)
        # What is read later is read by the same rules.
        self._allowed = dataclasses.asdict(allowed())
        self._known = still_known(record.known, path)
        self.facts = facts_of(self.config) if self._known is None else self._known.facts
        # Pipelines look at the name of the class to see whether it does their task.
        self.__class__ = type(self.facts.class_name, (type(self),), {})

    def __reduce__(self) -> tuple[Callable[..., Served], tuple[object, ...]]:
        if self._again is None:
            raise DataError(f"{self.path}: cannot be copied, it was not loaded with prensa.load")
        return self._again, ()

    def again_from(self) -> Callable[[Path], Served]:
        """Return what loads the same with the same settings from a directory that holds the same files.

        It can be pickled, and used on another machine. Raises :class:`DataError` as a copy does.
        """
        again = self._again
        if not isinstance(again, partial):
            raise DataError(f"{self.path}: cannot be copied, it was not loaded with prensa.load")
        # All that load a model take its directory first.
        return partial(_loaded_from, again.func, again.args[1:], again.keywords)

    def __copy__(self) -> Served:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __getattr__(self, name: str) -> NoReturn:
        """Explain what is missing. Raises :class:`OnlyAnswersError`, which is an :class:`AttributeError`."""
        # Not what is private, half made, or here and has failed: the class below would be looked for by it.
        is_own = name.startswith("_") or "facts" not in vars(self) or hasattr(type(self), name)
        if is_own or not (name in _OF_MODELS or hasattr(self._kind, name)):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        call = f"prensa.load({str(self.path)!r})"
        # An export has rows to compare with, and PyTorch cannot load it.
        if self.record.rows:
            call = "prensa.load(path), path being the model it was exported from,"
        raise OnlyAnswersError(
            f"{name} is not available: a model loaded for {self.record.runtime} only answers; "
            f"use {call} without a runtime"
        )

    @property
    def device(self) -> torch.device:
        """Where pipelines put what they call it with."""
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """What its answers are in."""
        import torch

        return torch.float32

    @cached_property
    def config(self) -> PretrainedConfig:
        """The model's config."""
        from prensa.checkpoint.roles import load_config

        with allowing(**self._allowed):
            return load_config(self.path)

    @cached_property
    def _kind(self) -> type[PreTrainedModel]:
        """The class that the config names."""
        from prensa.checkpoint.roles import model_class

        with allowing(**self._allowed):
            return model_class(self.config)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        from prensa.texts.tokenizers import load_tokenizer

        # The first callers may be several threads: one of them loads it, and all get that one.
        with building():
            own = vars(self)
            if "tokenizer" not in own:
                with allowing(**self._allowed):
                    own["tokenizer"] = load_tokenizer(self.path)
            return own["tokenizer"]

    @cached_property
    def reader(self) -> Reader:
        """What texts are tokenized with: the same ids as ``tokenizer`` gives, without ``transformers``."""
        if self._known is None or self._known.traits is None:
            return self.tokenizer
        with building():
            own = vars(self)
            if "reader" not in own:
                own["reader"] = PlainTokenizer(self.path, self._known.traits)
            reader: Reader = own["reader"]
            return reader

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
        # Imported here, as PyTorch is everywhere in this class: texts are answered without it.
        from prensa.serving.model_output import model_output

        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            **others,
        }
        output = model_output(self.record.output, self._outputs(given))
        if others.get("return_dict") is False:
            return output.to_tuple()
        return output

    @usual_arithmetic()
    def _outputs(self, given: Mapping[str, object]) -> list[NDArray[np.float32]]:
        """Return what the engine gives, in order. Raises :class:`DataError` for what it cannot answer."""
        return self.engine(read_inputs(given, self.record, self.facts))

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
        like length are answered together, long ones fewer at a time, and those of other threads that ask at
        the same time with them. ``prompt_name`` chooses one of the prompts of a Sentence Transformers model
        to stand before each text.

        Raises :class:`SettingError` for a batch size below 1, :class:`DataError` for what is no text, naming
        its index, or where the model's task has no answers, and :class:`~prensa.errors.ModelError` for a
        module of Sentence Transformers that is not computed here, and for a text on which the model gives no
        number (NaN or infinity), naming its index.
        """
        yield from _with_numbers(self.attempted(texts, batch_size=batch_size, prompt_name=prompt_name))

    def attempted(
        self, texts: Iterable[object], *, batch_size: int = 32, prompt_name: str | None = None
    ) -> Iterator[Answer]:
        """Answer texts as :meth:`predict` does, also those on which the model gives no number.

        Their answers say so (:attr:`~prensa.serving.answers.Answer.has_numbers`). Raises what else
        :meth:`predict` raises.
        """
        _check(texts, batch_size)
        yield from self._predicted(texts, self.answering(prompt_name), batch_size)

    async def apredict(
        self, texts: Iterable[object], *, batch_size: int = 32, prompt_name: str | None = None
    ) -> list[Answer]:
        """Answer texts as :meth:`predict` does, all of them, while the event loop goes on.

        Texts of all who ask at the same time are answered together. A task that is cancelled leaves the line.
        Raises what :meth:`predict` raises.
        """
        _check(texts, batch_size)
        # What they come from may belong to this thread.
        own = list(texts)

        def work(leaver: Leaver) -> list[Answer]:
            answering = self.answering(prompt_name)
            return list(_with_numbers(self._predicted(own, answering, batch_size, leaver.enter)))

        return await in_thread(work, self.desk)

    def answering(self, prompt_name: str | None = None) -> Answering:
        """Return how texts are read and answered here. Raises what :func:`answering_of` raises."""
        with allowing(**self._allowed):
            return answering_of(self.path, self.record, self.facts, self.reader, prompt_name)

    def outputs_of(self, rows: Sequence[Row], kind: Kind) -> list[Numbers]:
        """Return what the model gives for each row of a batch, without padding.

        ``kind`` is that of :meth:`answering`. Raises what calling the model raises.
        """
        if self.record.is_paddable:
            return self._outputs_together(rows, kind)
        outputs = []
        for row in rows:
            outputs += self._outputs_together([row], kind)
        return outputs

    def _outputs_together(self, rows: Sequence[Row], kind: Kind) -> list[Numbers]:
        length = self.record.length(max(len(row["input_ids"]) for row in rows))
        arrays = self._outputs(padded(rows, unread(self.reader, kind), length))
        outputs = []
        for row, output in zip(rows, whole(arrays), strict=True):
            # Of vectors or labels of tokens, those of padding go.
            own = output
            if output.ndim > 1:
                own = output[: len(row["input_ids"])]
            outputs.append(own)
        return outputs

    def _predicted(
        self,
        texts: Iterable[object],
        answering: Answering,
        batch_size: int,
        entered: Callable[[Request], None] | None = None,
    ) -> Iterator[Answer]:
        remaining = iter(texts)
        done = 0
        while True:
            some = list(islice(remaining, _AHEAD * batch_size))
            if not some:
                return
            yield from self._answers(some, done, answering, batch_size, entered)
            done += len(some)

    # Not around predict(): what the caller does between two answers is the caller's.
    @usual_arithmetic()
    def _answers(
        self,
        texts: Sequence[object],
        first: int,
        answering: Answering,
        batch_size: int,
        entered: Callable[[Request], None] | None,
    ) -> list[Answer]:
        """Answer some texts, of which ``first`` is the number of the first."""
        given = []
        for number, text in enumerate(texts, first):
            one = read_given(text, number, answering.wanted)
            given.append(one)
        with alone(self.reader):
            windows = answering.read(given, first)
        rows = [window.row for window in windows]
        outputs = self._in_line(rows, answering.kind, batch_size, entered)
        return put_together(answering, given, windows, outputs)

    def _in_line(
        self,
        rows: Sequence[Row],
        kind: Kind,
        batch_size: int,
        entered: Callable[[Request], None] | None,
    ) -> list[Numbers]:
        """Have rows answered in their turn, with those of other callers."""
        answer = partial(self.outputs_of, kind=kind)
        return self.desk.outputs(rows, answer, batch_size, entered)


def _loaded_from(
    load: Callable[..., Served],
    arguments: Sequence[object],
    settings: Mapping[str, object],
    directory: Path,
) -> Served:
    return load(directory.absolute(), *arguments, **settings)


def _with_numbers(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Return answers. Raises :class:`~prensa.errors.ModelError` for the first one without numbers."""
    for index, answer in enumerate(answers):
        if not answer.has_numbers:
            raise ModelError(
                f"predict(): input {index}: {NO_NUMBER}; load the model with `dtype` float32, or leave the "
                "text out"
            )
        yield answer


def _check(texts: Iterable[object], batch_size: int) -> None:
    if batch_size < 1:
        raise SettingError(f"`batch_size` must be at least 1, found {batch_size}")
    if isinstance(texts, (str, bytes, Mapping)):
        raise DataError("predict() takes many texts, found one; put it in a list")
