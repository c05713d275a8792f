"""The same server as replicas of Ray Serve: each has the model and all routes, and Ray shares requests out.

Limits, the line and the metrics are those of a replica. What is not done here is done by Ray: it has several
proxies listen, one on each node with a replica, replaces what ends, and has it finish what it has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from starlette.types import ASGIApp

from prensa.checkpoint.checksum import model_digest
from prensa.cluster.address import Workers
from prensa.cluster.joined import Cluster, joined
from prensa.errors import ModelError
from prensa.predicting.on_node import OnNode
from prensa.server.app import Service, make_app
from prensa.server.front import Front
from prensa.server.key import Key
from prensa.server.limits import Limits
from prensa.serving.load import load_to_serve

# Requests of a replica beside the texts that may wait in it: of whoever watches, and refusals.
_REQUESTS = 256


@dataclass(frozen=True)
class Replica:
    """What every replica is made from."""

    name: str
    limits: Limits
    key: Key | None
    on_node: OnNode
    runtime: str
    dtype: str | None


def make_replica(replica: Replica) -> ASGIApp:
    """Load the model on this node, and return what answers from it. Raises as loading does."""
    with replica.on_node.at_work():
        served = load_to_serve(replica.on_node.directory(), runtime=replica.runtime, dtype=replica.dtype)
        service = Service(replica.name, replica.limits, replica.key)
        service.open(Front(served, replica.name, replica.limits, service.metrics))
        return make_app(service)


@dataclass(frozen=True)
class ToServe:
    """What to serve, as its options say it."""

    directory: Path
    name: str
    limits: Limits
    key: Key | None
    runtime: str
    dtype: str | None


def run_on_ray(served: ToServe, workers: Workers, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; ``ready`` is called with the number of replicas when all answer.

    Raises what joining the cluster raises, and :class:`ModelError` where the replicas do not start.
    """
    with joined(workers.address) as cluster:
        count = cluster.count(workers.count, workers.cpus)
        on_node = OnNode.of(served.directory, model_digest(served.directory), cluster, workers.cpus)
        replica = Replica(served.name, served.limits, served.key, on_node, served.runtime, served.dtype)
        with _deployed(cluster, replica, count, host, port), suppress(KeyboardInterrupt):
            ready(count)
            Event().wait()


@contextmanager
def _deployed(cluster: Cluster, replica: Replica, count: int, host: str, port: int) -> Iterator[None]:
    """Have the replicas answer while the block runs; other applications of the cluster stay."""
    from ray import serve

    # A function inside of another: Ray calls such a one in each replica, and an object it would copy there.
    def build() -> ASGIApp:
        return make_replica(replica)

    name = f"prensa-{replica.name}"
    was_serving = bool(serve.status().proxies)
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": host, "port": port}, logging_config=quiet)
    deployment = serve.deployment(serve.ingress(build)()).options(
        name=name,
        num_replicas=count,
        max_ongoing_requests=replica.limits.max_queue + _REQUESTS,
        ray_actor_options={"num_cpus": replica.on_node.cpus},
        logging_config=quiet,
    )
    try:
        try:
            serve.run(deployment.bind(), name=name, route_prefix="/")
        except RuntimeError as error:
            raise ModelError(
                f"{replica.on_node.path}: the replicas do not start ({_reason(error)})"
            ) from error
        yield
    finally:
        serve.delete(name)
        if not was_serving:
            serve.shutdown()


def _reason(error: RuntimeError) -> str:
    """Return what a replica has raised, from a message that holds its whole traceback."""
    lines = [line.strip() for line in str(error).splitlines()]
    for line in reversed(lines):
        if line.startswith("prensa.errors."):
            return line.partition(": ")[2]
    return next(filter(None, reversed(lines)), type(error).__name__)
