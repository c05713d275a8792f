"""``prensa serve`` beside other servers: the same comments from 64 clients, answered by each in turns.

Ray Serve and BentoML collect batches of their own and call the same export that Prensa serves; infinity-emb
runs the original in its own PyTorch. Each is a process of its own. BentoML and infinity-emb want versions of
packages that Prensa does not: give the Python of the environment that has them, and leave out those you do
not have.
``python -m benchmarks.server_peers [EXPORT] [--bentoml PYTHON] [--infinity PYTHON] [--texts N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evaluation import MODEL
from benchmarks.exported import exported
from benchmarks.record import save
from benchmarks.server import OWN, Asking, asked, comments, medians_of, naive_command, running, serve_command

CLIENTS = 64
RAY, BENTO = "ray-serve", "bentoml"
# As `prensa serve` has it: at most so many texts, or what has come after so many seconds.
MOST, WAIT = 32, 0.005


@dataclass(frozen=True)
class Peer:
    """A server: its command without the port, and how it wants to be asked."""

    command: list[str]
    asking: Asking = OWN


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--bentoml", metavar="PYTHON")
    parser.add_argument("--infinity", metavar="PYTHON")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = comments(arguments.texts)
    with exported(arguments.export) as export:
        peers = _peers(export, arguments)
        loads = _in_turns(peers, texts, arguments.rounds)
    own = loads["prensa serve"]["texts_a_second"]
    for load in loads.values():
        load["prensa_serve_is_times_as_fast"] = round(own / load["texts_a_second"], 2)
    save("server_peers", {"model": MODEL.name, "texts": len(texts), "clients": CLIENTS, "load": loads})


def _peers(export: Path, arguments: argparse.Namespace) -> dict[str, Peer]:
    peers = {
        "prensa serve": Peer(serve_command(export)),
        "one request, one call": Peer(naive_command(export)),
        "Ray Serve, batches": Peer(_own_command(sys.executable, RAY, export)),
    }
    if arguments.bentoml:
        asking = Asking(body=lambda text: {"texts": [text]})
        peers["BentoML, batches"] = Peer(_own_command(arguments.bentoml, BENTO, export), asking)
    if arguments.infinity:
        command = [str(Path(arguments.infinity).with_name("infinity_emb")), "v2", "--model-id", str(MODEL)]
        command += ["--served-model-name", "model", "--engine", "torch", "--device", "cpu", "--port"]
        asking = Asking("/classify", lambda text: {"input": [text], "model": "model"})
        peers["infinity-emb, PyTorch"] = Peer(command, asking)
    return peers


def _own_command(python: str, which: str, export: Path) -> list[str]:
    return [python, "-m", "benchmarks.server_peers", which, str(export)]


def _in_turns(peers: dict[str, Peer], texts: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Let each answer all texts, in turns. Return the medians of its rates and seconds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(running(peer.command, peer.asking)).port for name, peer in peers.items()
        }
        for _ in range(rounds):
            for name, peer in peers.items():
                load = asked(ports[name], texts, CLIENTS, peer.asking)
                found[name].append(load)
                print(name, load, flush=True)
    return {name: medians_of(loads) for name, loads in found.items()}


def scores_of(export: str) -> Callable[[list[str]], list[list[dict[str, Any]]]]:
    """Return what answers a batch of texts in one call."""
    import prensa

    served: Any = prensa.load(export)
    labels = served.config.id2label
    longest = served.record.longest

    def scores(texts: list[str]) -> list[list[dict[str, Any]]]:
        inputs = served.tokenizer(
            texts, truncation=True, padding=True, max_length=longest, return_tensors="pt"
        )
        found = []
        for shares in served(**inputs).logits.softmax(-1).tolist():
            found.append([{"label": labels[index], "score": share} for index, share in enumerate(shares)])
        return found

    return scores


def _serve_by_ray(export: str, port: int) -> None:
    import signal

    import ray
    from ray import serve
    from starlette.requests import Request

    batching = serve.batch(max_batch_size=MOST, batch_wait_timeout_s=WAIT)
    deploying = serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})

    class Model:
        def __init__(self) -> None:
            self.scores = scores_of(export)

        # Under its own name: by that Ray finds out that it is a method.
        @batching  # type: ignore[untyped-decorator]
        async def answer(self, texts: list[str]) -> list[list[dict[str, Any]]]:
            return self.scores(texts)

        async def __call__(self, request: Request) -> list[dict[str, Any]]:
            body = await request.json()
            labels: list[dict[str, Any]] = await self.answer(body["inputs"])
            return labels

    # Ray sets one thread for each processor that an actor asks for; the others here may use both.
    environment = {"env_vars": {"OMP_NUM_THREADS": str(os.cpu_count())}}
    ray.init(num_cpus=4, object_store_memory=200_000_000, runtime_env=environment, include_dashboard=False)
    serve.start(http_options={"port": port})
    serve.run(deploying(Model).bind(), route_prefix="/predict")
    signal.pause()


def _serve_by_bentoml(export: str, port: int) -> None:
    """Serve this module's service: BentoML imports it again in processes of its own."""
    environment = {**os.environ, "PRENSA_EXPORT": export}
    command = ["-m", "bentoml", "serve", "benchmarks.server_bento:Model", "--port", str(port)]
    os.execve(sys.executable, [sys.executable, *command], environment)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    ways = {RAY: _serve_by_ray, BENTO: _serve_by_bentoml}
    if sys.argv[1:2] and sys.argv[1] in ways:
        ways[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    else:
        main()
