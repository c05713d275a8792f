"""Which tokens are written in the scripts of some languages, by the Unicode names of their letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

from prensa.errors import SettingError

_WRITTEN_IN_LATIN = (
    "af ca cs cy da de en es et eu fi fr ga gl hr hu id is it lt lv ms nl no pl pt ro sk sl sq sv sw tl tr vi"
)
_CHINESE = frozenset({"CJK"})
_LATIN = frozenset({"LATIN"})
# The first word of a letter's name in Unicode is its script.
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
    """Raise :class:`SettingError` for a language whose script is not known."""
    for language in languages:
        if language not in _LANGUAGES:
            raise SettingError(
                f"`languages`: {language!r} is not known; expected of {', '.join(sorted(_LANGUAGES))}"
            )


def written_in(languages: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that says whether all letters of a token are of the scripts of these languages."""
    scripts: set[str] = set()
    for language in languages:
        scripts |= _LANGUAGES[language]

    def is_written(token: str) -> bool:
        # Digits and signs have no script, and belong to all languages.
        used = set(map(_script, token)) - {""}
        return used <= scripts

    return is_written


@cache
def _script(character: str) -> str:
    """Return ``LATIN`` for é, and an empty string for what is no letter."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    name = unicodedata.name(character, "?")
    return name.split(" ")[0]
