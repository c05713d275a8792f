"""A small model and its original, loaded to answer as one; the threshold between them given or chosen."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from prensa.checkpoint.locate import locate
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import Task, task_of
from prensa.errors import DataError, DifferentAnswersError, SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.decision import Decision
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.original import check_finite, check_not_constant
from prensa.evaluation.predict import Output
from prensa.evaluation.quality import Outputs
from prensa.evaluation.threshold import Choice, choose, times_as_fast
from prensa.extras import require
from prensa.jobs.permissions import Permissions
from prensa.progress import Progress, silent
from prensa.serving.cascade import Cascade, common_task
from prensa.serving.load import AUTO, check_to_serve, load_to_serve
from prensa.serving.loads import own_texts
from prensa.serving.served import Served
from prensa.texts.columns import Texts
from prensa.texts.library import Library
from prensa.texts.source import Source, as_source
from prensa.wording import number

# Texts that one of the two answers before it is the other one's turn, so that both are timed alike.
_TURN = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cascading:
    """What stands before what, and from which margin on its answers count.

    ``min_agreement`` has the threshold chosen on one half of ``texts`` and confirmed on the other; a
    ``threshold`` that was chosen before takes no texts.
    """

    small: str | Path
    original: str | Path
    min_agreement: float | str | None = None
    threshold: float | None = None
    texts: Source | str | Path | Iterable[object] | None = None
    runtime: str = AUTO
    device: str = "cpu"
    dtype: str | torch.dtype | None = None
    permissions: Permissions = Permissions()

    def plan(self) -> CascadingPlan:
        """Find out whether it can be done, and read the texts. Reads no weights.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        if (self.min_agreement is None) == (self.threshold is None):
            raise SettingError(
                "`then` needs one of `min_agreement`, to choose from which margin on answers count, and "
                "`threshold`, one that was chosen before"
            )
        Budget(min_agreement=self.min_agreement)
        with self.permissions.granted():
            small = locate(self.small)
            original = locate(self.original)
            task = common_task(small, original, (task_of(load_config(small)), task_of(load_config(original))))
            for path in (small, original):
                check_to_serve(path, self.runtime)
            texts = None
            if self.min_agreement is not None:
                require("evaluate", "`min_agreement`")
                texts = _read(self.texts, task)
                halve_texts(texts)
            return CascadingPlan(self, small, original, task, texts)


@dataclass(frozen=True)
class CascadingPlan:
    """A cascade that can be loaded; ``texts`` are None where the threshold is known."""

    job: Cascading
    small: Path
    original: Path
    task: Task
    texts: Texts | None

    def run(self, progress: Progress = silent) -> Cascade:
        """Load both models, and choose the threshold unless it was given.

        The original's answers are those that it gives in the runtime that it is served by. Raises
        :class:`DifferentAnswersError` where no threshold is confirmed to keep the agreement, and
        :class:`DataError` where too few texts decide.
        """
        job = self.job
        with job.permissions.granted():
            progress("loading", 0, 2)
            small = self._loaded(self.small)
            progress("loading", 1, 2)
            original = self._loaded(self.original)
            progress("loading", 2, 2)
            if self.texts is None:
                return Cascade(small, original, job.threshold or 0.0)
            return self._chosen(small, original, self.texts, progress)

    def _loaded(self, path: Path) -> Served:
        job = self.job
        return load_to_serve(path, runtime=job.runtime, device=job.device, dtype=job.dtype, texts=self.texts)

    def _chosen(self, small: Served, original: Served, texts: Texts, progress: Progress) -> Cascade:
        halves = halve_texts(texts)
        # No more than what the halves have room for are answered.
        used = texts.take(sorted([*halves.search, *halves.check]))
        answers, seconds = _answers([original, small], used, progress)
        check_finite(self.original, answers[0])
        outputs = Outputs(self.task, used, [], answers[0], answers[1])
        choice, quality = choose(outputs, self.job.min_agreement or 0.0)
        check_not_constant(self.original, quality)
        _check_kept(self.small, texts, choice)
        cascade = Cascade(small, original, choice.threshold)
        speed = times_as_fast(seconds[1], seconds[0], choice.passed_on)
        cascade.account = account_of(choice, speed)
        # Serving it is slower than serving the original, and no more exact.
        if speed <= 1:
            _log.warning("%s: %s", self.small, cascade.account)
        else:
            _log.info("%s: %s", self.small, cascade.account)
        return cascade


def account_of(choice: Choice, speed: float) -> str:
    """Say in one line what a threshold does, and whether it pays."""
    passed_on = number(100 * choice.passed_on)
    same = number(100 * choice.agreement.value)
    alone = number(100 * choice.alone.value)
    line = (
        f"threshold {choice.threshold:g}: {passed_on} % of {choice.texts:,} texts that it was not chosen on "
        f"go on to the original, the same answer on {same} % ({alone} % without the original)"
    )
    if speed > 1:
        return f"{line}, about {speed:.2f} times as fast as the original alone"
    return (
        f"{line}. It does not pay: about {speed:.2f} times as fast as the original, which serves better alone"
    )


def _read(texts: Source | str | Path | Iterable[object] | None, task: Task) -> Texts:
    """Read the texts to choose on. Their labels do not matter: it is the original's answers that count."""
    if texts is None:
        raise SettingError(
            "`min_agreement` needs `texts`: a few hundred or more like those that will be answered, without "
            "labels; or give the `threshold` that was chosen before"
        )
    if isinstance(texts, (Source, str, Path)):
        source = dataclasses.replace(as_source(texts), label_column="")
        return Library().texts(source, task)
    return own_texts(texts)


def _answers(
    models: Sequence[Served], texts: Texts, progress: Progress
) -> tuple[list[list[Output]], list[float]]:
    """Let models answer all texts in turns; return the outputs of each and its seconds for a text.

    Seconds are the median of the turns: the first one finds nothing warm.
    """
    given: list[object] = list(texts.texts)
    if texts.pairs:
        given = [(text, pair) if pair else text for text, pair in zip(texts.texts, texts.pairs, strict=True)]
    outputs: list[list[Output]] = [[] for _ in models]
    seconds: list[list[float]] = [[] for _ in models]
    for start in range(0, len(given), _TURN):
        turn = given[start : start + _TURN]
        for own_outputs, own_seconds, model in zip(outputs, seconds, models, strict=True):
            began = time.perf_counter()
            own_outputs.extend(answer.output for answer in model.predict(turn))
            own_seconds.append((time.perf_counter() - began) / len(turn))
        progress(f"answering {len(given):,} texts", start + len(turn), len(given))
    return outputs, [median(own) for own in seconds]


def _check_kept(small: Path, texts: Texts, choice: Choice) -> None:
    if choice.is_kept:
        return
    wanted = f"`min_agreement` of {number(100 * choice.min_agreement)} %"
    if choice.decision == "undecided":
        needed = ""
        if choice.texts_needed is not None:
            needed = f"; about {choice.texts_needed:,} decide"
        raise DataError(f"{texts.name}: {len(texts):,} texts are too few for a {wanted}{needed}")
    found: dict[Decision, str] = {"unknown": "nothing can be judged by these texts"}
    reason = found.get(choice.decision, f"{number(100 * choice.agreement.value)} % were the same")
    raise DifferentAnswersError(
        f"{small}: no threshold keeps a {wanted} on texts that it was not chosen on ({reason}); give more "
        "texts, or a lower one"
    )
