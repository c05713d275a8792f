"""Which pieces are written in the scripts of some languages, by the Unicode names of their letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

from prensa.errors import VocabularyError

_WRITTEN_IN_LATIN = (
    "af ca cs cy da de en es et eu fi fr ga gl hr hu id is it lt lv ms nl no pl pt ro sk sl sq sv sw tl tr vi"
)
_CHINESE, _LATIN = frozenset({"CJK"}), frozenset({"LATIN"})
_LANGUAGES: dict[str, frozenset[str]] = {
    **dict.fromkeys(_WRITTEN_IN_LATIN.split(), _LATIN),
    **dict.fromkeys(["be", "bg", "mk", "ru", "uk"], frozenset({"CYRILLIC"})),
    **dict.fromkeys(["ar", "fa", "ur"], frozenset({"ARABIC"})),
    **dict.fromkeys(["hi", "mr", "ne"], frozenset({"DEVANAGARI"})),
    "bn": frozenset({"BENGALI"}),
    "el": frozenset({"GREEK"}),
    "he": frozenset({"HEBREW"}),
    "hy": frozenset({"ARMENIAN"}),
    "ja": frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}) | _CHINESE,
    "ka": frozenset({"GEORGIAN"}),
    "ko": frozenset({"HANGUL"}) | _CHINESE,
    "sr": frozenset({"CYRILLIC"}) | _LATIN,
    "ta": frozenset({"TAMIL"}),
    "te": frozenset({"TELUGU"}),
    "th": frozenset({"THAI"}),
    "zh": _CHINESE,
}


def check_languages(languages: Iterable[str]) -> None:
    """Raise :class:`VocabularyError` for a language whose script is not known."""
    for language in languages:
        if language not in _LANGUAGES:
            raise VocabularyError(
                f"--languages: {language!r} is not known; expected of {', '.join(sorted(_LANGUAGES))}"
            )


def written_in(languages: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that tells whether all letters of a piece are of the scripts of these languages."""
    scripts = frozenset[str]().union(*(_LANGUAGES[language] for language in languages))

    def is_written(piece: str) -> bool:
        return all(script in scripts for script in map(_script, piece) if script)

    return is_written


@cache
def _script(character: str) -> str:
    """Return ``LATIN`` for é, and nothing for what is no letter."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    return unicodedata.name(character, "?").split(" ")[0]
