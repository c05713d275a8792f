"""How long models take for the same texts: in turns, so that they share what slows them down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.extras import require
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.sharing import sharing_weights
from prensa.runtime.turns import in_turns
from prensa.serving.exported import TORCH, Engine, Inputs, arrays, padded_length
from prensa.serving.program import input_names, trace
from prensa.serving.pytorch import Engine as PyTorchEngine
from prensa.serving.runtimes import runtime_named
from prensa.serving.ways import together
from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Tokens of a batch, padding included, and texts: as `predict` answers them.
_TOKENS, _MOST = 4096, 32
# Texts that ranges of 8 bits are measured on: which ones they are changes no time.
_SAMPLES = 8
# That each model is timed for.
_SECONDS = 2.0


Runner = tuple[Engine, list[Inputs]]
"""A model as its runtime runs it, and the batches of texts that it is timed with."""


@dataclass
class Stopwatch:
    """Where models are timed, and on which texts.

    ``runtime`` is torch, openvino or onnxruntime, ``longest`` the most tokens that the models read. Exports
    are written into ``place``, which must stay while the watch is in use.
    """

    runtime: str
    precision: str
    encoded: Encoded
    longest: int | None
    place: Path
    _kept: tuple[PreTrainedModel, Runner] | None = None
    _made: int = 0

    def seconds(self, models: Sequence[PreTrainedModel]) -> list[float]:
        """Return the median time in which each model answers all texts once. Models stay as they are.

        The first one is kept as it was exported, for the next time. Raises what exporting raises.
        """
        runners: list[Runner] = []
        for number, model in enumerate(models):
            # By identity: two models of one kind are still two.
            if self._kept is not None and self._kept[0] is model:
                runners.append(self._kept[1])
                continue
            runner = self._runner(model)
            runners.append(runner)
            if number == 0:
                self._kept = (model, runner)
        works = [partial(_answer_all, runner) for runner in runners]
        # A time for each, so that many models do not make each of them noisier.
        return in_turns(works, _SECONDS * len(works))

    def _runner(self, model: PreTrainedModel) -> Runner:
        # Folding changes modules, and the model is still needed as it is.
        answering = sharing_weights(model).eval()
        row = self.encoded.rows[0]
        accelerate_answers(answering)
        if self.runtime == TORCH:
            names = input_names(answering, row)
            return PyTorchEngine(answering), _batches(self.encoded, names, lambda tokens: tokens)
        require(self.runtime, f"measuring in {self.runtime}")
        runtime = runtime_named(self.runtime)
        if runtime.ATTENTION is not None:
            # A model that has no such choice raises, and stays as it is.
            with suppress(ValueError):
                answering.set_attn_implementation(runtime.ATTENTION)
        program = trace(answering, row, self.longest)
        samples = [arrays(each, program.inputs) for each in self.encoded.rows[:_SAMPLES]]
        directory = self.place / f"timed-{self._made}"
        self._made += 1
        directory.mkdir()
        runtime.write(program, directory, self.precision, samples)
        length = partial(padded_length, longest=self.longest)
        return runtime.Engine(directory, self.precision), _batches(self.encoded, program.inputs, length)


def _batches(encoded: Encoded, names: Sequence[str], length: Callable[[int], int]) -> list[Inputs]:
    batches: list[Inputs] = []
    for indices in by_tokens(encoded.lengths, _TOKENS, most=_MOST):
        rows = [encoded.rows[index] for index in indices]
        longest = max(encoded.lengths[index] for index in indices)
        batches.append(together(rows, encoded, names, length(longest)))
    return batches


def _answer_all(runner: Runner) -> None:
    engine, batches = runner
    for inputs in batches:
        engine(inputs)
