"""The layouts by name, and whether an export can have one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from prensa.errors import SettingError
from prensa.extras import require
from prensa.serving.exported import Record
from prensa.serving.layouts import model_server, sentence_transformers, tei, transformers_js


class Layout(Protocol):
    """What each layout's module offers.

    ``RUNTIMES`` are those whose files the program opens, and ``EXTRA`` is the extra that has what laying out
    needs, None for nothing.
    """

    NAME: str
    RUNTIMES: tuple[str, ...]
    EXTRA: str | None

    def arrange(self, directory: Path, record: Record) -> None:
        """Change an export, its config and tokenizer beside it, to what the program opens.

        Raises :class:`~prensa.errors.ModelError` or :class:`~prensa.errors.TokenizerError` for a model that
        the program could not open, or would answer with differently.
        """


LAYOUTS: dict[str, Layout] = {
    transformers_js.NAME: transformers_js,
    sentence_transformers.NAME: sentence_transformers,
    tei.NAME: tei,
    model_server.NAME: model_server,
}


def layout_named(name: str, runtime: str) -> Layout:
    """Return a layout by its name, for an export to ``runtime``.

    Raises :class:`SettingError` for one that does not exist or that opens no such export, and
    :class:`~prensa.errors.MissingPackageError`.
    """
    if name not in LAYOUTS:
        expected = ", ".join(LAYOUTS)
        raise SettingError(f"`layout={name}`: expected one of {expected}")
    layout = LAYOUTS[name]
    if runtime not in layout.RUNTIMES:
        expected = " or ".join(layout.RUNTIMES)
        raise SettingError(f"`layout={name}` is for {expected}, and the export is to {runtime}; change `to`")
    if layout.EXTRA is not None:
        require(layout.EXTRA, f"`layout={name}`")
    return layout
