"""The precisions that a model is served in, by the words of the options."""

from __future__ import annotations

from prensa.errors import SettingError

PRECISIONS = {"int8": "int8", "bf16": "bfloat16", "fp32": "float32"}
"""What loading calls each precision that can be asked for."""


def dtype_named(precision: str) -> str:
    """Return what loading calls a precision that a record names, in either way of naming it."""
    return PRECISIONS.get(precision, precision)


def precision_named(dtype: object) -> str:
    """Return what exports call a dtype, of PyTorch or its name; empty for one that no export has."""
    name = str(dtype).removeprefix("torch.")
    for precision, known in PRECISIONS.items():
        if known == name:
            return precision
    return ""


def dtype_of(precision: str | None) -> str | None:
    """Return what loading calls a precision. Raises :class:`SettingError` for one that does not exist."""
    if precision is None:
        return None
    if precision not in PRECISIONS:
        raise SettingError(f"`precision={precision}`: expected {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]
