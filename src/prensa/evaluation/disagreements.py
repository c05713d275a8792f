"""The texts on which two models disagree most, and what each says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.classification import Answers
from prensa.evaluation.figures import Disagreement
from prensa.texts.columns import Texts

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]

SHOWN = 20
"""Texts on which the models disagree most that are listed."""

# Characters of a text that is shown.
_LONGEST = 2000
# Characters of a text that is named in a line.
_LINE = 80
# A disagreement below this is rounding.
_NOISE = 1e-9

Described = tuple[str, str, str]
"""Of one text: the right answer, the original's and the result's."""


def most(
    texts: Texts, amounts: Floats, describe: Callable[[int], Described], ties: Floats | None = None
) -> tuple[Disagreement, ...]:
    """List the texts with the largest amounts ``[texts]``; those without any disagreement are not listed.

    Of texts with the same amount the ones with larger ``ties`` ``[texts]`` come first.
    """
    largest_first = np.argsort(-amounts, kind="stable")
    if ties is not None:
        largest_first = np.lexsort((-ties, -amounts))
    listed: list[Disagreement] = []
    for index in largest_first[:SHOWN].tolist():
        amount = float(amounts[index])
        if amount > _NOISE:
            right, before, after = describe(index)
            listed.append(Disagreement(_shown(texts, index), right, before, after, amount))
    return tuple(listed)


def _shown(texts: Texts, index: int) -> str:
    text = texts.texts[index]
    if texts.pairs:
        text += f"\n{texts.pairs[index]}"
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]} …"
    return text


def in_one_line(text: str) -> str:
    """Return the beginning of a text, to name it by."""
    line = " ".join(text.split())
    if len(line) <= _LINE:
        return line
    return f"{line[: _LINE - 1]}…"


def answer(given: Answers, index: int, names: Sequence[str]) -> str:
    """``toxic 93.1 %``: what is chosen, and how sure it is; of several labels, all that apply."""
    probabilities = given.probabilities[index]
    chosen = [int(given.chosen[index])] if not given.many else np.flatnonzero(given.chosen[index]).tolist()
    if not chosen:
        return f"none, {100 * probabilities.max():.1f} %"
    return ", ".join(f"{names[label]} {100 * probabilities[label]:.1f} %" for label in chosen)


def named(truth: Integers, names: Sequence[str]) -> str:
    """Name the right label of a text, or all that apply."""
    if truth.ndim == 0:
        return names[int(truth)]
    return ", ".join(names[label] for label in np.flatnonzero(truth).tolist())
