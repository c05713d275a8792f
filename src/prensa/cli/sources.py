"""The two sources, from the options that describe them."""

from __future__ import annotations

from prensa.errors import SettingError
from prensa.texts.names import as_mapping
from prensa.texts.source import Source


def texts_source(
    texts: str | None,
    text_column: str | None,
    split: str | None,
    encoding: str | None = None,
    limit: int | None = None,
    *,
    data: str | None = None,
) -> Source | None:
    """Return what is calibrated on; None where no option says anything about it."""
    if texts is None and text_column is None and split is None and encoding is None and limit is None:
        return None
    name = texts
    if name is None:
        # Without --texts the options describe what there is: the texts of --data, or the built-in ones.
        name = data
    return Source(name, text_column=text_column, split=split, limit=limit, encoding=encoding)


def judged_source(
    data: str | None,
    data_column: str | None,
    label_column: str | None,
    data_split: str | None,
    labels: str | None,
    encoding: str | None,
    *,
    texts: str | None = None,
    limit: int | None = None,
) -> Source | None:
    """Return what is judged by; None where no option says anything about it.

    Raises :class:`SettingError` for options that describe texts that were not given.
    """
    settings = {
        "data_column": data_column,
        "label_column": label_column,
        "data_split": data_split,
        "labels": labels,
    }
    given = [name for name, value in settings.items() if value is not None]
    if data is None and not given:
        return None
    name = data
    if name is None:
        name = texts
    if name is None:
        raise SettingError(f"`{given[0]}` needs `data`: the built-in texts have none")
    return Source(
        name,
        text_column=data_column,
        label_column=label_column,
        split=data_split,
        limit=limit,
        encoding=encoding,
        labels=as_mapping(labels),
    )
