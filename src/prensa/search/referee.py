"""Judge results by their answers to texts, half of them for the search and half for the last word."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prensa.checkpoint.task import LANGUAGE
from prensa.errors import EvaluationError
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.evaluate import Plan
from prensa.evaluation.evaluate import plan as plan_evaluation
from prensa.evaluation.original import check_finite, check_not_constant
from prensa.evaluation.predict import Output, predict
from prensa.evaluation.quality import Outputs, compare
from prensa.evaluation.reading import Reading, common_words, kept_pieces, read_by, readable
from prensa.evaluation.results import Quality, Settings
from prensa.extras import require
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.runtime.torch import load_on

Part = Literal["search", "check"]

MOST_TEXTS = 2000
"""How many texts a part has at most."""

_FEWEST = 20


@dataclass
class Referee:
    """Compares results with the original of an evaluation's plan.

    The original's answers are computed once and kept, but for language models, whose outputs are too large.
    """

    plan: Plan
    parts: dict[Part, list[int]]
    original: Any = None
    answers: dict[Part, list[Output]] = field(default_factory=dict)

    def judge(self, result: Path, part: Part, progress: Progress = silent) -> Quality:
        """Return how well a result does on one part of the texts, for the last word with intervals.

        Raises :class:`EvaluationError` where the original gives no numbers, or the same ones for every text.
        """
        plan, indices, kind = self.plan, self.parts[part], self.plan.task.kind
        if plan.task.kind in LANGUAGE:
            read = set(readable([result], plan.encoded))
            indices = [i for i in indices if i in read]
        texts, reading = plan.texts.take(indices), Reading(plan.encoded).take(indices)
        both = [reading, reading]
        is_trimmed = kept_pieces(result) is not None
        if is_trimmed:
            own = read_by(result, plan.paths[0], plan.tokenizer, texts, reading.encoded, plan.max_length)
            both = list(common_words([reading, own]))
        models, pools = [self._load(result, both[1])], [read_text_vector(result, kind)]
        if plan.task.kind in LANGUAGE:
            self.original = self.original or self._load(plan.paths[0], Reading(plan.encoded))
            models, pools = [self.original, *models], [read_text_vector(plan.paths[0], kind), *pools]
            before, after = _answer(models, pools, both, plan.batch_size, progress)
        else:
            if is_trimmed and plan.task.kind == "tokens":  # the words that both read may differ
                self.answers.pop(part, None)
            before = self._original_answers(part, both[0], progress)
            (after,) = _answer(models, pools, both[1:], plan.batch_size, progress)
        places = both[0].encoded.places or []
        draws = Draws() if part == "check" else Draws(0)
        return self._compared(Outputs(plan.task, texts, places, before, after), draws)

    def judge_itself(self, progress: Progress = silent) -> Quality | None:
        """Return how the original would do as its own result on the check's texts, as well as any can.

        None for language models: their answers are not kept. Raises as :meth:`judge`.
        """
        plan, indices = self.plan, self.parts["check"]
        if plan.task.kind in LANGUAGE:
            return None
        reading = Reading(plan.encoded).take(indices)
        own = self._original_answers("check", reading, progress)
        outputs = Outputs(plan.task, plan.texts.take(indices), reading.encoded.places or [], own, own)
        return self._compared(outputs, Draws(1))  # where no answer changes, intervals are not drawn but known

    def _compared(self, outputs: Outputs, draws: Draws) -> Quality:
        check_finite(self.plan.paths[0], outputs.original)
        quality = compare(outputs, draws)
        check_not_constant(self.plan.paths[0], quality)
        return quality

    def _original_answers(self, part: Part, reading: Reading, progress: Progress) -> list[Output]:
        if part not in self.answers:
            path = self.plan.paths[0]
            models, pools = [self._load(path, reading)], [read_text_vector(path, self.plan.task.kind)]
            (found,) = _answer(models, pools, [reading], self.plan.batch_size, progress)
            self.answers[part] = found
        return self.answers[part]

    def _load(self, path: Path, reading: Reading) -> Any:
        return load_on(path, self.plan.dtype, self.plan.device, reading.encoded.fill["input_ids"])


@dataclass(frozen=True)
class Judging:
    """The texts that results are judged by, as for :func:`prensa.evaluate`, and where the models run."""

    data: str | None
    text_column: str | None = None
    label_column: str | None = None
    split: str | None = None
    device: str | None = None
    encoding: str | None = None
    labels: dict[str, str] | None = None


def referee_for(model: Path, judging: Judging) -> Referee:
    """Plan an evaluation of ``model`` and deal its texts out. Raises what planning one raises."""
    require("evaluate", "keeping a budget of quality")
    if judging.data is None:
        raise EvaluationError("--max-drop and --min-agreement need texts to judge by: give --data or --texts")
    return referee(plan_evaluation(Settings(str(model), (), **vars(judging))))


def referee(plan: Plan) -> Referee:
    """Deal the texts of an evaluation's plan out. Raises :class:`EvaluationError` where they are too few."""
    if len(plan.texts) < 2 * _FEWEST:
        raise EvaluationError(
            f"{plan.texts.name}: {len(plan.texts)} texts are too few to keep a budget by, "
            f"expected {2 * _FEWEST} or more"
        )
    order = list(range(len(plan.texts)))
    random.Random(0).shuffle(order)  # noqa: S311
    half = min(MOST_TEXTS, len(order) // 2)
    return Referee(plan, {"search": sorted(order[:half]), "check": sorted(order[half : 2 * half])})


def _answer(
    models: Sequence[Any],
    pools: Sequence[Any],
    readings: Sequence[Reading],
    batch_size: int,
    progress: Progress,
) -> list[list[Output]]:
    lengths = readings[0].encoded.lengths
    found: list[dict[int, Output]] = [{} for _ in models]
    done, total = 0, sum(lengths)
    for indices, outputs in predict(models, pools, readings, batch_size):
        for kept, own in zip(found, outputs, strict=True):
            kept.update(zip(indices, own, strict=True))
        done += sum(lengths[i] for i in indices)
        progress(f"answering {len(lengths):,} texts", done, total)
    return [[answers[i] for i in range(len(lengths))] for answers in found]
