"""How a long job reports how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done (a stage, a tensor's name), how much of it is done, and of how much."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
