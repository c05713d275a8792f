"""Two sources, one to calibrate on and one to judge by: each stands in for the other where it is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from prensa.texts.source import Source, as_source

Where = Source | str | Path
"""What may stand for a source."""


def both(texts: Where | None, data: Where | None) -> tuple[Source | None, Source | None]:
    """Return what is calibrated on and what is judged by.

    One that is missing is read where the other is, except for its split and its limit: of a data set texts to
    calibrate on come from its training part, those to judge by from its test or validation part. A column or
    an encoding that only one of them names is that of both.
    """
    if texts is None and data is None:
        return None, None
    if texts is None:
        judged = as_source(data)
        return dataclasses.replace(judged, label_column=None, labels=None, split=None, limit=None), judged
    calibrated = as_source(texts)
    if data is None:
        return calibrated, dataclasses.replace(calibrated, split=None, limit=None)
    judged = as_source(data)
    return _completed(calibrated, judged), _completed(judged, calibrated)


def _completed(source: Source, other: Source) -> Source:
    """Take over what is not said of a source from the other."""
    text_column = source.text_column
    if text_column is None:
        text_column = other.text_column
    encoding = source.encoding
    if encoding is None:
        encoding = other.encoding
    if source.name is None:
        # The built-in texts have neither columns nor an encoding.
        return source
    return dataclasses.replace(source, text_column=text_column, encoding=encoding)
