"""The precisions that a model is served in, by the words of the options."""

from __future__ import annotations

from prensa.errors import SettingError

_PRECISIONS = {"int8": "int8", "bf16": "bfloat16", "fp32": "float32"}
"""What loading calls a precision."""


def dtype_named(precision: str) -> str:
    """Return what loading calls a precision that a record names, in either way of naming it."""
    return _PRECISIONS.get(precision, precision)


def dtype_of(precision: str | None) -> str | None:
    """Return what loading calls a precision. Raises :class:`SettingError` for one that does not exist."""
    if precision is None:
        return None
    if precision not in _PRECISIONS:
        raise SettingError(f"`precision={precision}`: expected {', '.join(_PRECISIONS)}")
    return _PRECISIONS[precision]
