"""A Ray cluster while work is done on it: started or joined, looked over, and left.

Ray is imported inside of functions: without it everything else works. What Ray would wait for, or say in
twenty lines, is found out before: an address that nothing answers at, other versions, nodes without Prensa.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prensa.cluster.address import Address
from prensa.errors import DeviceError, SettingError, first_line
from prensa.extras import require
from prensa.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds for a connection, and for nodes to start a process each and look around.
_CONNECTING = 5.0
_LOOKING = 120.0
# Where Ray finds the address of a running cluster before it looks for one on this machine.
_NAMED = "RAY_ADDRESS"
# For a Ray that is started here: it reports nothing to its makers, and its workers, which do what this
# process would, do not stand back behind every other program of the machine.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


@dataclass(frozen=True)
class Node:
    """A machine of a cluster, or what Ray takes for one."""

    key: str
    name: str
    cpus: int


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to. ``is_own`` says that it was started for this work."""

    address: Address
    is_own: bool

    def nodes(self) -> list[Node]:
        """Return the machines that are alive and have CPUs for workers."""
        import ray

        nodes = []
        for entry in ray.nodes():
            cpus = int(entry.get("Resources", {}).get("CPU", 0))
            if entry["Alive"] and cpus:
                nodes.append(Node(entry["NodeID"], entry["NodeManagerHostname"], cpus))
        return nodes

    def room(self, cpus: int) -> int:
        """Return how many workers of so many CPUs there is room for where nothing else runs."""
        return sum(node.cpus // cpus for node in self.nodes())

    def count(self, wanted: int | None, cpus: int) -> int:
        """Return how many workers to take. Raises :class:`SettingError` for more than there is room for."""
        room = self.room(cpus)
        if not room:
            raise SettingError(f"`worker_cpus={cpus}`: no node of the cluster has so many CPUs; take fewer")
        if wanted is None:
            return room
        if wanted > room:
            raise SettingError(
                f"`workers={wanted}`: the cluster has room for {room} with `worker_cpus={cpus}`; take fewer"
            )
        return wanted

    def is_free(self, cpus: int) -> bool:
        """Whether a worker of so many CPUs could start now; others may have work there."""
        import ray

        # Of all nodes together: which of them has how many left Ray does not say.
        return bool(ray.available_resources().get("CPU", 0) >= cpus)

    def on_each_node(
        self, look: Callable[..., str], *arguments: object, seconds: float | None = _LOOKING
    ) -> list[tuple[str, str]]:
        """Call a function once on every node, and return the node's name and what it says there.

        ``seconds`` are waited for it, None for as long as it takes: to read a large model takes minutes.
        Raises :class:`DeviceError` for nodes that do not answer.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = ray.remote(look)
        # By node, as several of them may have one name.
        nodes = self.nodes()
        said = []
        for node in nodes:
            # Not in its CPUs: they may all have work.
            there = NodeAffinitySchedulingStrategy(node.key, soft=False)
            said.append(task.options(num_cpus=0, scheduling_strategy=there).remote(*arguments))
        try:
            names = [node.name for node in nodes]
            return list(zip(names, ray.get(said, timeout=seconds), strict=True))
        except ray.exceptions.RayError as error:
            raise DeviceError(f"the cluster's nodes do not answer ({first_line(error)})") from error


@contextmanager
def joined(address: Address) -> Iterator[Cluster]:
    """Start or join a cluster while the block runs; one that this process has joined before stays joined.

    Raises :class:`~prensa.errors.MissingPackageError` without Ray, :class:`SettingError` for an address that
    nothing answers at and for a cluster with another version of Ray, Python or Prensa, and
    :class:`DeviceError` where it stops answering.
    """
    require("ray", "a Ray cluster")
    import ray

    was_joined = ray.is_initialized()
    if was_joined:
        _check_same(address)
    else:
        _connect(address)
    try:
        cluster = Cluster(address, is_own=address.kind == "local" and not was_joined)
        if not cluster.is_own:
            _check_versions(cluster)
        yield cluster
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise DeviceError(f"the cluster does not answer any more ({first_line(error)})") from error
    finally:
        if not was_joined:
            ray.shutdown()


@contextmanager
def as_raised() -> Iterator[None]:
    """Raise what a worker has raised as it was: with Ray's own error around it it would be a traceback."""
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _check_same(address: Address) -> None:
    """Raise :class:`SettingError` where this process is connected to another cluster than the one named."""
    import ray

    found = str(ray.get_runtime_context().gcs_address)
    if address.kind == "cluster" and found != address.name:
        raise SettingError(
            f"`on=ray:{address.name}`: this process is connected to the cluster at {found}; give "
            "`on=ray:auto`"
        )


def _connect(address: Address) -> None:
    import ray

    if address.port:
        _knock(address.host, address.port, address.name)
    elif address.kind == "auto" and _NAMED in os.environ:
        # A wrong one would be tried for a minute.
        host, _, port = os.environ[_NAMED].rpartition(":")
        if port.isdigit():
            _knock(host.removeprefix("ray://"), int(port), os.environ[_NAMED])
    try:
        with _own_signals(), _settings():
            ray.init(
                address=address.name,
                log_to_driver=False,
                logging_level="critical",
                **({"include_dashboard": False} if address.kind == "local" else {}),
            )
    except ConnectionError as error:
        where = "no Ray cluster runs on this machine" if address.kind == "auto" else "no Ray cluster answers"
        raise SettingError(
            f"`on=ray:{address.name}`: {where}; start one with ray start --head, or give `on=ray`"
        ) from error
    except Exception as error:
        # Whatever Ray says, as in six lines which versions both sides have.
        reason = " ".join(str(error).split())
        raise SettingError(f"`on=ray:{address.name}`: cannot be joined ({reason})") from error


def _knock(host: str, port: int, name: str) -> None:
    """Raise :class:`SettingError` at once where nothing listens: Ray would try again for a minute."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=_CONNECTING).close()
    except (OSError, UnicodeError) as error:
        # A name with an empty or endless part is none that can be asked for.
        reason = getattr(error, "strerror", None) or first_line(error)
        raise SettingError(f"`on=ray:{name}`: nothing answers there ({reason})") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this program's handler of SIGTERM, in whose place Ray puts one that cleans nothing up."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _settings() -> Iterator[None]:
    """Set what the user has not set, while Ray reads it."""
    own = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]


def _check_versions(cluster: Cluster) -> None:
    """Raise :class:`SettingError` for a node without this version of Prensa."""

    # Inside of a function it travels as it is, and not by a name that a node without Prensa does not know.
    def version() -> str:
        try:
            from prensa.version import VERSION as FOUND
        except ImportError:
            return ""
        return FOUND

    for name, found in cluster.on_each_node(version):
        if found != VERSION:
            has = f"Prensa {found}" if found else "no Prensa"
            raise SettingError(
                f"node {name} of the cluster has {has}, and this is Prensa {VERSION}; install the same on all"
            )
