"""How much of a vocabulary stays, as a recipe or a command line says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prensa.errors import RecipeError, SettingError
from prensa.files.atomic import at_home
from prensa.vocabulary.scripts import check_languages

NAME = "trim_vocabulary"

TEXTS = "texts"
"""What stands for all tokens that the texts use."""


@dataclass(frozen=True)
class TrimVocabulary:
    """Keep the tokens that the texts use most, and those that every text may need.

    ``pieces`` is how many stay in all, 0 for as many as make up the share ``coverage`` of the texts. ``keep``
    are tokens that stay in any case. ``languages`` (``en``, ``ru`` …) keep all tokens in their scripts.
    """

    pieces: int = 0
    coverage: float = 1.0
    keep: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        # True is a number to Python, and a slip of the pen in a recipe.
        is_whole = isinstance(self.pieces, int) and not isinstance(self.pieces, bool)
        if not is_whole or self.pieces < 0:
            raise RecipeError(f"{NAME}: pieces must be a whole number, found {self.pieces!r}")
        is_number = isinstance(self.coverage, (int, float))
        if isinstance(self.coverage, bool) or not is_number or not 0 < self.coverage <= 1:
            raise RecipeError(f"{NAME}: coverage must be above 0 and at most 1, found {self.coverage!r}")
        _check_words("keep", self.keep)
        _check_words("languages", self.languages)
        check_languages(self.languages)


def trim_from(
    amount: TrimVocabulary | int | str | None, keep: Path | None = None, languages: str | None = None
) -> TrimVocabulary | None:
    """Read what a command line or a caller says: a number, ``99.9%``, or ``texts`` for all they use.

    Raises :class:`SettingError` for anything else, and for a file that cannot be read.
    """
    if amount is None:
        for name, value in (("keep", keep), ("languages", languages)):
            if value is not None:
                raise SettingError(f"`{name}` {value} needs `trim_vocabulary`")
        return None
    if isinstance(amount, TrimVocabulary):
        return amount
    tokens: tuple[str, ...] = ()
    if keep is not None:
        tokens = _lines(at_home(keep))
    words: tuple[str, ...] = ()
    if languages is not None:
        words = tuple(map(str.strip, languages.lower().split(",")))
    count, coverage = _amount(str(amount))
    return TrimVocabulary(count, coverage, tokens, words)


def _check_words(key: str, words: object) -> None:
    """Raise :class:`RecipeError` unless ``words`` is a tuple of strings, which a list in TOML becomes."""
    is_list = isinstance(words, tuple) and all(map(_is_word, words))
    if not is_list:
        raise RecipeError(f"{NAME}: {key} must be a list of words, found {words!r}")


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _amount(text: str) -> tuple[int, float]:
    """Return a number of tokens, or 0 and a share."""
    if text == TEXTS:
        return 0, 1.0
    count, coverage = 0, 0.0
    # 32,000 and 32_000 are one number to people.
    try:
        if text.endswith("%"):
            percent = float(text[:-1])
            coverage = percent / 100
        else:
            digits = text.replace(",", "").replace("_", "")
            count = int(digits)
    except ValueError:
        # Neither: refused below, with both at nothing.
        pass
    if count >= 1:
        return count, 1.0
    if 0 < coverage <= 1:
        return 0, coverage
    raise SettingError(
        f"`trim_vocabulary` {text}: expected a number of tokens, a share of the texts as 99.9%, or "
        f"{TEXTS!r} for all tokens they use"
    )


def _lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a file that are not empty, each once."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"`keep` {path}: cannot be read ({error})") from error
    # A dict keeps the order of a file, and a token that comes twice once.
    lines = dict.fromkeys(text.splitlines())
    lines.pop("", None)
    return tuple(lines)
