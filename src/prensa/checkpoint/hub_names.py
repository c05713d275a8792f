"""What a model is called, from where it lies."""

from __future__ import annotations

import re
from pathlib import Path

from prensa.checkpoint.sentence_transformers import root_of

# A directory of the hub's cache.
_CACHED = re.compile(r"models--(?P<name>[\w.-]+(--[\w.-]+)?)")


def model_name(path: Path) -> str:
    """Return the hub's name of a model in the hub's cache, or the name of its directory."""
    whole = root_of(path.resolve())
    for part in reversed(whole.parts):
        cached = _CACHED.fullmatch(part)
        if cached:
            return cached["name"].replace("--", "/")
    return whole.name
