"""What is stored in a model directory."""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.inspection import describe
from prensa.checkpoint.locate import locate
from prensa.checkpoint.manifest import Manifest
from prensa.jobs.permissions import Permissions


def inspect(model: str | Path, *, allow_new_head: bool = False, trust_remote_code: bool = False) -> Manifest:
    """Return what is stored in a model directory, tensor by tensor.

    For a result of :func:`compress` this is its manifest, checked against the files; for any other
    model, what the headers say.
    """
    with Permissions(allow_new_head, trust_remote_code).granted():
        return describe(locate(model, to_read=True))
