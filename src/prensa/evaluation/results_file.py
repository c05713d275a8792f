"""``results.json``: read back as an evaluation, and known from files of others."""

from __future__ import annotations

from pathlib import Path
from typing import TypeGuard

from prensa.errors import FormatError, OutputError
from prensa.evaluation.results import RESULTS_VERSION, Evaluation
from prensa.files.atomic import at_home
from prensa.files.records import from_plain, read_json

RESULTS_FILE = "results.json"


def load_results(path: str | Path) -> Evaluation:
    """Read what :meth:`Evaluation.save` wrote; of a directory, its ``results.json``.

    Raises :class:`FormatError` if the file is missing, damaged, or of another version.
    """
    place = at_home(path)
    if place.is_dir():
        place = place / RESULTS_FILE
    try:
        content = read_json(place)
    except ValueError as error:
        raise FormatError(f"{place}: {error}") from error
    if not _is_ours(content):
        raise FormatError(f"{place}: not the results of an evaluation; expected what prensa evaluate writes")
    if content["version"] != RESULTS_VERSION:
        raise FormatError(
            f"{place}: expected version {RESULTS_VERSION}, found {content['version']!r}; "
            "install a newer prensa"
        )
    try:
        # Fields of a later version of Prensa that did not change the form are passed over.
        return from_plain(content, Evaluation, ignore_unknown=True)
    except ValueError as error:
        raise FormatError(f"{place}: damaged ({error}); evaluate again") from error


def check_results_place(path: Path) -> None:
    """Raise :class:`OutputError` where ``path`` is a file that no evaluation wrote."""
    if not path.exists():
        return
    try:
        content = read_json(path)
    except ValueError:
        content = None
    if not _is_ours(content):
        raise OutputError(f"{path}: would be replaced, and no evaluation wrote it; choose another folder")


def _is_ours(content: object) -> TypeGuard[dict[str, object]]:
    if not isinstance(content, dict):
        return False
    return {"version", "prensa_version", "settings"} <= set(content)
