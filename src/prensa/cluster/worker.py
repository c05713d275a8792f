"""What a process of a cluster is while it works for a job: its share of a node, and nothing of other jobs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prensa.checkpoint.allowed import allowing
from prensa.errors import PrensaError


@contextmanager
def as_worker(permissions: Mapping[str, bool], threads: int) -> Iterator[None]:
    """Work with PyTorch as in a new process, on so many threads; what goes wrong names the node.

    ``permissions`` are what :func:`~prensa.checkpoint.allowed.allowing` takes.
    """
    from prensa.isolation import as_usual
    from prensa.ops.parallel import take_threads

    take_threads(threads)
    with as_usual(), allowing(**permissions):
        try:
            yield
        except PrensaError as error:
            raise type(error)(f"node {socket.gethostname()}: {error}") from None
