"""One function for many items, on a cluster or in this process: the same results in the same order."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.checksum import model_digest
from prensa.cluster.address import Workers
from prensa.cluster.joined import Cluster, as_raised, joined
from prensa.cluster.worker import as_worker
from prensa.errors import DeviceError, ModelError, first_line

if TYPE_CHECKING:
    import ray

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class Tasks(Protocol):
    """Where items are worked on."""

    def map(self, function: Callable[[S, T], R], shared: S, items: Sequence[T]) -> Iterator[R]:
        """Yield ``function(shared, item)`` for each item, in their order. Raises what the function raises."""


class InTurn:
    """In this process, one after the other."""

    def map(self, function: Callable[[S, T], R], shared: S, items: Sequence[T]) -> Iterator[R]:
        """Yield the results as they come."""
        for item in items:
            yield function(shared, item)


IN_TURN = InTurn()


class OnCluster:
    """As tasks of Ray, ``size`` at a time with ``cpus`` CPUs each; those of a lost node are done again."""

    def __init__(self, cluster: Cluster, size: int, cpus: int) -> None:
        """Start nothing yet."""
        self.cluster = cluster
        self.size = size
        self._cpus = cpus

    def map(self, function: Callable[[S, T], R], shared: S, items: Sequence[T]) -> Iterator[R]:
        """Yield the results; what is under way ends where nobody waits for it any more.

        Raises :class:`DeviceError` for an item that several workers ended at.
        """
        import ray

        # Once, however many tasks need it: it may be as large as the model.
        given = ray.put(shared)
        task = ray.remote(_do).options(num_cpus=self._cpus)
        permissions = dataclasses.asdict(allowed())
        remaining = deque(items)
        running: deque[ray.ObjectRef] = deque()
        try:
            while remaining or running:
                while remaining and len(running) < self.size:
                    item = remaining.popleft()
                    running.append(task.remote(function, given, item, permissions, self._cpus))
                try:
                    with as_raised():
                        result: R = ray.get(running[0])
                except ray.exceptions.RayError as error:
                    # Ray has given it to other workers before.
                    raise DeviceError(
                        f"worker after worker of the cluster ended at its task ({first_line(error)}); take "
                        "fewer `workers` where memory is short"
                    ) from error
                running.popleft()
                yield result
        finally:
            for one in running:
                ray.cancel(one, force=True)


def _do(
    function: Callable[[S, T], R], shared: S, item: T, permissions: Mapping[str, bool], threads: int
) -> R:
    """Do a task, on whichever node."""
    with as_worker(permissions, threads):
        return function(shared, item)


@contextmanager
def tasks_on(workers: Workers, model: Path) -> Iterator[OnCluster]:
    """Share tasks out to a cluster while the block runs; all of them read ``model``.

    Raises what joining the cluster raises, and :class:`ModelError` for a node that has not the same model
    under the same path.
    """
    with joined(workers.address) as cluster:
        size = cluster.count(workers.count, workers.cpus)
        if not cluster.is_own:
            _check_shared(cluster, model.absolute())
        yield OnCluster(cluster, size, workers.cpus)


def _check_shared(cluster: Cluster, model: Path) -> None:
    own = digest_of_files(model)
    for name, found in cluster.on_each_node(digest_of_files, model, seconds=None):
        if found != own:
            has = "another model" if found else "nothing"
            raise ModelError(
                f"node {name} of the cluster has {has} at {model}; put it where all nodes see it under the "
                "same path"
            )


def digest_of_files(model: Path) -> str:
    """Return the digest of a model, empty where there is no such directory."""
    return model_digest(model) if model.is_dir() else ""
