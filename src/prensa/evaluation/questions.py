"""Compare models that answer questions from a context: exact match and F1, and the answers that changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prensa.evaluation import squad
from prensa.evaluation.answer_spans import END, FIRST, NO_ANSWER, SCORE
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classification import drop_of
from prensa.evaluation.disagreements import Described, most
from prensa.evaluation.figures import ANSWER_F1, EXACT_MATCH, Drop, Figure, Metric, Quality
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.predict import Output
from prensa.evaluation.text_scores import Means, Sameness, compare_scores, right_texts

# What is shown of a question that is not answered.
_NO_ANSWER = "(no answer)"


def compare_questions(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the answers in words, with the right ones if they are known.

    A model may find that there is no answer only where the right answers say so of any question.
    """
    contexts = outputs.texts.pairs or ()
    right = right_texts(outputs)
    may_be_none = any(not any(answers) for answers in right)
    before = answers_of(outputs.original, contexts, may_be_none=may_be_none)
    after = answers_of(outputs.result, contexts, may_be_none=may_be_none)
    sameness = Sameness.of(before, after)
    likeness = np.array([squad.f1(other, [one]) for one, other in zip(before, after, strict=True)])
    figures = (
        sameness.figure,
        Figure("F1 with the original's answers", float(likeness.mean()), is_share=True),
    )

    def describe(index: int) -> Described:
        shown = ""
        if right:
            shown = " / ".join(dict.fromkeys(right[index])) or _NO_ANSWER
        return shown, before[index] or _NO_ANSWER, after[index] or _NO_ANSWER

    drop: Drop | None = sameness.changed
    metrics: tuple[Metric, ...] = ()
    if right:
        metrics = compare_scores(_scores(before, right), _scores(after, right), len(right), draws)
        drop = drop_of(metrics, outputs.terms.metric or ANSWER_F1)
    return Quality(
        drop=drop,
        metrics=metrics,
        figures=figures,
        disagreement="1 − F1 of the two answers",
        disagreements=most(outputs.texts, 1 - likeness, describe),
    )


def answers_of(outputs: Sequence[Output], contexts: Sequence[str], *, may_be_none: bool) -> list[str]:
    """Return each answer in words, as the context has it; empty where the model finds none, if it may."""
    answers: list[str] = []
    for output, context in zip(outputs, contexts, strict=True):
        answer = context[int(output[FIRST]) : int(output[END])]
        if may_be_none and output[NO_ANSWER] > output[SCORE]:
            answer = ""
        answers.append(answer)
    return answers


def _scores(answers: Sequence[str], right: Sequence[Sequence[str]]) -> Means:
    both = list(zip(answers, right, strict=True))
    return Means(
        {
            ANSWER_F1: np.array([squad.f1(answer, known) for answer, known in both]),
            EXACT_MATCH: np.array([squad.exact_match(answer, known) for answer, known in both]),
        }
    )
