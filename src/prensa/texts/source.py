"""Where texts are: one value, used wherever texts are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.errors import SettingError
from prensa.texts.names import as_mapping, join_names

JUDGED = ("test", "validation", "dev")
"""The parts of a data set to judge by, the best first. That of training is never taken in silence."""

CALIBRATED = ("train", "validation", "dev", "test")
"""The parts to calibrate on and to count tokens in, so that those to judge by stay unseen if possible."""


@dataclass(frozen=True)
class Source:
    """A file, a directory, or a data set of the hub, and where in it the texts and labels are.

    ``name`` None means the texts that come with Prensa. ``text_column`` names one column, or two for models
    that read pairs (a list, or with a comma between them); ``label_column`` names one column, or one for each
    label of a multi-label model; ``""`` takes no labels. Without them the usual names are looked for.
    ``split`` is a part of a data set, ``limit`` takes that many texts at random, ``encoding`` is that of a
    file that is not UTF-8. ``labels`` leads from the data's names of labels to the model's; rows with a label
    that leads to ``""`` are left out.
    """

    name: str | Path | None = None
    text_column: str | Sequence[str] | None = None
    label_column: str | Sequence[str] | None = None
    split: str | None = None
    limit: int | None = None
    encoding: str | None = None
    labels: str | Mapping[str, str] | None = None

    @property
    def text_option(self) -> str | None:
        """The columns of texts in one string, as a command line gives them."""
        return join_names(self.text_column)

    @property
    def label_option(self) -> str | None:
        """The columns of labels in one string, as a command line gives them."""
        return join_names(self.label_column)

    @property
    def mapping(self) -> dict[str, str] | None:
        """``labels`` as a dict. Raises :class:`SettingError` for what is not NAME=LABEL."""
        return as_mapping(self.labels)

    @property
    def asked(self) -> tuple[str, ...]:
        """The options that name columns: they settle whether a table's first line is its header."""
        options: list[str] = []
        for option in (self.text_option, self.label_option):
            if option:
                options.append(option)
        return tuple(options)


def as_source(source: Source | str | Path | None) -> Source:
    """Return a source for what may stand in its place: a name or a path, or None for the built-in texts."""
    if isinstance(source, Source):
        return source
    return Source(source)


def check_built_in(source: Source) -> None:
    """Raise :class:`SettingError` if the built-in texts are wanted with what only other texts have."""
    settings = {
        "text_column": source.text_option,
        # An empty one takes no labels, and there are none.
        "label_column": source.label_option or None,
        "split": source.split,
        "encoding": source.encoding,
        "labels": source.labels,
    }
    for name, value in settings.items():
        if value is not None:
            raise SettingError(f"`{name}` {value} needs texts of your own: the built-in texts have none")
