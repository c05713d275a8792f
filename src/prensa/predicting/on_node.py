"""A model where a worker is: under the same path, or brought there."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.allowed import allowed, allowing
from prensa.checkpoint.checksum import model_digest
from prensa.checkpoint.effects import files_of_model
from prensa.cluster.joined import Cluster
from prensa.cluster.parcel import Parcel, packed, unpacked
from prensa.errors import PrensaError


@dataclass(frozen=True)
class OnNode:
    """A model for the workers of a cluster: its path on every node, or a ``parcel`` of its files.

    ``permissions`` are what was allowed where it was named, ``cpus`` the threads of a worker.
    """

    path: Path
    parcel: Parcel | None
    permissions: Mapping[str, bool]
    cpus: int

    @classmethod
    def of(cls, directory: Path, digest: str, cluster: Cluster, cpus: int) -> OnNode:
        """Look at all nodes, and pack the model where one does not have the same files under its path."""
        path = directory.absolute()
        parcel = None
        if not cluster.is_own:
            found = cluster.on_each_node(model_digest, path)
            if {each for _, each in found} != {digest}:
                parcel = packed(path, files_of_model(path), digest)
        return cls(path, parcel, dataclasses.asdict(allowed()), cpus)

    def directory(self) -> Path:
        """Return the model's directory on this node. Raises as :func:`~prensa.cluster.parcel.unpacked`."""
        return self.path if self.parcel is None else unpacked(self.parcel)

    def take_threads(self) -> None:
        """Have this process compute with as many threads as it has CPUs; runtimes do as PyTorch does."""
        import torch

        torch.set_num_threads(self.cpus)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Do a worker's work with PyTorch as in a new process; what goes wrong names the node."""
        from prensa.isolation import as_usual

        with as_usual(), allowing(**self.permissions):
            try:
                yield
            except PrensaError as error:
                raise type(error)(f"node {socket.gethostname()}: {error}") from None
