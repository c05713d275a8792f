"""Packages that only some uses need, asked for before anything else is done."""

from __future__ import annotations

import importlib.util

from prensa.errors import MissingPackageError


def require_bitsandbytes(purpose: str) -> None:
    """Raise :class:`MissingPackageError` unless 8-bit models of bitsandbytes can be loaded here.

    ``purpose`` begins the message: what it is that needs the package.
    """
    missing = [name for name in ("bitsandbytes", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{purpose} needs {' and '.join(missing)}, not installed here; "
            "run pip install 'prensa[bitsandbytes]'"
        )
