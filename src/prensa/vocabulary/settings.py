"""How much of a vocabulary stays, as a recipe or a command line says it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from prensa.atomic import at_home
from prensa.errors import RecipeError, VocabularyError
from prensa.vocabulary.scripts import check_languages

NAME = "trim_vocabulary"


@dataclass(frozen=True)
class TrimVocabulary:
    """Keep the pieces that the texts use most, and those that every text may need.

    ``pieces`` is how many stay in all, 0 for as many as make up the share ``coverage`` of the texts. ``keep``
    are pieces that stay in any case. ``languages`` (``en``, ``ru`` …) keep all pieces in their scripts.
    """

    pieces: int = 0
    coverage: float = 1.0
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.pieces, int) or isinstance(self.pieces, bool) or self.pieces < 0:
            raise RecipeError(f"{NAME}: pieces must be a whole number, found {self.pieces!r}")
        is_number = isinstance(self.coverage, (int, float)) and not isinstance(self.coverage, bool)
        if not is_number or not 0 < self.coverage <= 1:
            raise RecipeError(f"{NAME}: coverage must be above 0 and at most 1, found {self.coverage!r}")
        for key, words in (("keep", self.keep), ("languages", self.languages)):
            if not isinstance(words, tuple) or not all(isinstance(word, str) and word for word in words):
                raise RecipeError(f"{NAME}: {key} must be a list of words, found {words!r}")
        check_languages(self.languages)


def trim_from(
    amount: str | None, keep: Path | None = None, languages: str | None = None
) -> TrimVocabulary | None:
    """Read the options of a command line. ``amount`` is a number, ``99.9%``, or ``texts`` for all they use.

    Raises :class:`RecipeError`, and :class:`VocabularyError` for a file that cannot be read.
    """
    if amount is None:
        for option, value in (("--keep", keep), ("--languages", languages)):
            if value is not None:
                raise RecipeError(f"{option} {value} needs --trim-vocabulary")
        return None
    words = () if languages is None else tuple(word.strip().lower() for word in languages.split(","))
    pieces, coverage = (0, 1.0) if amount == TEXTS else _amount(amount)
    return TrimVocabulary(pieces, coverage, () if keep is None else _lines(at_home(keep)), words)


def _amount(text: str) -> tuple[int, float]:
    """Return a number of pieces, or 0 and a share."""
    pieces, coverage = 0, 0.0
    with contextlib.suppress(ValueError):
        if text.endswith("%"):
            coverage = float(text[:-1]) / 100
        else:
            pieces = int(text.replace(",", "").replace("_", ""))
    if pieces < 1 and not 0 < coverage <= 1:
        raise RecipeError(
            f"--trim-vocabulary {text}: expected a number of pieces, a share of the texts as 99.9%, or "
            f"{TEXTS!r} for all pieces they use"
        )
    return pieces, coverage or 1.0


TEXTS = "texts"
"""What stands for all pieces that the texts use."""


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"--keep {path}: cannot be read ({error})") from error
    return tuple(dict.fromkeys(line for line in text.splitlines() if line))
