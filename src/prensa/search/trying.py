"""A trial wherever there is room for it: what it takes is handed over, and the trial alone comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prensa.checkpoint.kinds import LANGUAGE
from prensa.cluster.tasks import IN_TURN, Tasks
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.judge import Judge
from prensa.files.temporary import temporary_directory
from prensa.ops.statistics import Statistics
from prensa.pressing import pipeline
from prensa.pressing.pipeline import Plan
from prensa.progress import Progress
from prensa.search.trial import Trial
from prensa.texts.library import Library


@dataclass(frozen=True)
class Rounds:
    """How many trials are made ``at_once``, and where."""

    at_once: int = 1
    tasks: Tasks = IN_TURN


ONE_BY_ONE = Rounds()


@dataclass(frozen=True)
class Given:
    """What every trial of a search takes: ``texts`` are the indices of those to judge by."""

    plan: Plan
    statistics: Statistics
    judge: Judge | None
    texts: Sequence[int]


def trials(tasks: Tasks, given: Given, noises: Sequence[float], progress: Progress) -> Iterator[Trial]:
    """Make a trial with each noise, several at a time; what they wrote is gone. Yields them in order."""
    if given.judge is not None:
        given = dataclasses.replace(given, judge=handed_over(given.judge, given.texts, progress))
    yield from tasks.map(_trial, given, noises)


def handed_over(judge: Judge, texts: Sequence[int], progress: Progress) -> Judge:
    """Return a judge for other processes, with what the original answers to ``texts``.

    Without the texts that were read on the way, and without a language model, which each loads by itself.
    """
    other = Judge(dataclasses.replace(judge.plan, library=Library()))
    if judge.plan.task.kind not in LANGUAGE:
        other.learn(texts, judge.answers(texts, progress))
    return other


def _trial(given: Given, noise: float) -> Trial:
    """Compress, judge, and remove what was written."""
    with temporary_directory() as place:
        output = place / "result"
        plan = given.plan.with_recipe(given.plan.recipe.with_noise(noise), output)
        manifest = pipeline.run(plan, statistics=given.statistics)
        if given.judge is None:
            return Trial(noise, manifest.nbytes)
        quality = given.judge.quality(output, given.texts, draws=Draws(0))
    return Trial.of(noise, manifest.nbytes, quality)
