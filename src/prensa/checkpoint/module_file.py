"""``prensa_module.json``: what a directory says of a module that was stored in it, for whoever loads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.companions import MODULE_FILE
from prensa.codecs.layout import FORMAT_VERSION, QUANT_METHOD
from prensa.errors import FormatError, ModelError
from prensa.files.records import from_plain, read_json, to_plain


@dataclass(frozen=True)
class ModuleFile:
    """The class that was stored, by its name alone; the files' SHA-256; and which names share a tensor.

    ``tied`` leads from a name that is not stored to the one whose tensor it shares. ``quant_method`` and
    ``format_version`` are those of packed models.
    """

    class_name: str
    sha256: Mapping[str, str]
    tied: Mapping[str, str]
    quant_method: str = QUANT_METHOD
    format_version: int = FORMAT_VERSION

    def save(self, directory: Path) -> None:
        """Write it."""
        text = json.dumps(to_plain(self), indent=1)
        (directory / MODULE_FILE).write_text(text + "\n", encoding="utf-8")


def load_module_file(directory: Path) -> ModuleFile:
    """Read it.

    Raises :class:`ModelError` without one, and :class:`FormatError` if it is damaged or of a newer version.
    """
    path = directory / MODULE_FILE
    if not path.is_file():
        raise ModelError(
            f"{directory}: no module that prensa.save has written ({MODULE_FILE} is missing); a model "
            "directory is loaded with prensa.load"
        )
    try:
        content = read_json(path)
        version = content.get("format_version") if isinstance(content, dict) else None
        # Before anything else: a newer version may have entries that would look like damage.
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise FormatError(
                f"{path}: expected packed format version {FORMAT_VERSION}, found {version}; install a newer "
                "prensa"
            )
        return from_plain(content, ModuleFile)
    except ValueError as error:
        raise FormatError(f"{path}: damaged ({error}); store the module again") from error
