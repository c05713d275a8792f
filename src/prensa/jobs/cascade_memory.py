"""The threshold of a cascade that an earlier start has chosen, kept in the user's cache with other choices.

It holds for the same two models in the same runtimes, the same texts and agreement, on one processor and for
one set of versions (see :mod:`prensa.serving.choices`). With anything else it is chosen again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from prensa.files.records import from_plain, to_plain
from prensa.serving.choices import fingerprint, question, recall_any, remember
from prensa.serving.served import Served
from prensa.texts.columns import Texts

_DIGITS = 24

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """A threshold, and in one line what it does.

    ``pays`` says that both models together are faster than the original alone.
    """

    threshold: float
    account: str
    pays: bool


def question_of(
    small: tuple[Path, Served],
    original: tuple[Path, Served],
    texts: Texts,
    min_agreement: float,
    device: str,
) -> dict[str, str]:
    """Return all that a threshold depends on. A model is its directory, and what was loaded from it."""
    runtimes = [f"{served.record.runtime}/{served.record.precision}" for _, served in (small, original)]
    asked = question(small[0], "cascade", device, " ".join(runtimes), [])
    content = json.dumps([texts.texts, texts.pairs])
    return asked | {
        "original": fingerprint(original[0]),
        "texts": hashlib.sha256(content.encode()).hexdigest()[:_DIGITS],
        "agreement": repr(min_agreement),
    }


def recall_threshold(asked: dict[str, str]) -> Chosen | None:
    """Return what was chosen for the same question, None if nothing was, or it is damaged."""
    answer = recall_any(asked)
    if answer is None:
        return None
    try:
        return from_plain(json.loads(answer), Chosen)
    except ValueError as error:
        _log.debug("a remembered threshold is not used (%s)", error)
        return None


def remember_threshold(asked: dict[str, str], chosen: Chosen) -> None:
    """Keep what was chosen; where nothing can be kept it is chosen again next time."""
    remember(asked, json.dumps(to_plain(chosen)))
