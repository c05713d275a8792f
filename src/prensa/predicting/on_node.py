"""A model where a worker is: under the same path, or brought there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.checksum import model_digest
from prensa.checkpoint.effects import files_of_model
from prensa.cluster.joined import Cluster
from prensa.cluster.parcel import Parcel, packed, unpacked
from prensa.cluster.worker import as_worker


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
            found = cluster.on_each_node(model_digest, path, seconds=None)
            if {each for _, each in found} != {digest}:
                parcel = packed(path, files_of_model(path), digest)
        return cls(path, parcel, dataclasses.asdict(allowed()), cpus)

    def directory(self) -> Path:
        """Return the model's directory on this node. Raises as :func:`~prensa.cluster.parcel.unpacked`."""
        return self.path if self.parcel is None else unpacked(self.parcel)

    def at_work(self) -> AbstractContextManager[None]:
        """Work as one of its workers, with as many threads as it has CPUs: see :func:`as_worker`."""
        return as_worker(self.permissions, self.cpus)
