"""``prensa serve`` under load: texts as they come from 1, 8 and 64 clients.

Beside it ``predict`` on the same texts, which it sorts by length, and a naive server: the same runtime, one
call for each request. All are processes of their own, and have their turns. The share of ``predict`` that a
server reaches counts its clients, too: they run on the same cores.
``python -m benchmarks.server [EXPORT] [--texts N] [--rounds N]``. How long it takes to start is in
:mod:`benchmarks.cold_start`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.exported import exported
from benchmarks.record import save, spread
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.texts.columns import read_texts
from prensa.texts.source import Source

CLIENTS = (1, 8, 64)
PATIENCE = 300.0
NAIVE = "naive"


def _own_body(text: str) -> dict[str, Any]:
    return {"inputs": text, "truncate": True}


@dataclass(frozen=True)
class Asking:
    """Where a server answers, and how a text is put to it."""

    path: str = "/predict"
    body: Callable[[str], dict[str, Any]] = _own_body


OWN = Asking()


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = comments(arguments.texts)
    with exported(arguments.export) as export:
        result = {
            "model": "toxic-deberta",
            "texts": len(texts),
            "load": under_load(export, texts, arguments.rounds),
        }
    save("server", result)


def comments(count: int) -> list[str]:
    """Return comments in an order in which they might arrive."""
    task = task_of(load_config(MODEL))
    assert task is not None
    texts = list(read_texts(Source(COMMENTS), task).texts)
    random.Random(0).shuffle(texts)
    return texts[:count]


def under_load(export: Path, texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """Let ``predict``, the server and the naive one answer all texts in turns."""
    served = prensa.load(export)
    list(served.predict(texts[:64]))
    alone: list[float] = []
    found: dict[str, list[dict[str, float]]] = {}
    with running(serve_command(export)) as server, running(naive_command(export)) as naive:
        ports = {"prensa serve": server.port, "one request, one call": naive.port}
        for _ in range(rounds):
            start = time.perf_counter()
            list(served.predict(texts))
            alone.append(len(texts) / (time.perf_counter() - start))
            for clients in CLIENTS:
                for name, port in ports.items():
                    load = asked(port, texts, clients)
                    found.setdefault(f"{name}, {clients} clients", []).append(load)
                    print(name, clients, load, flush=True)
    return {"predict, texts a second": spread(alone)} | {
        name: summed_up(loads, median(alone)) for name, loads in found.items()
    }


def summed_up(loads: Sequence[dict[str, float]], alone: float) -> dict[str, float]:
    """Return the medians over all rounds, and the share of what ``predict`` does."""
    medians = medians_of(loads)
    return medians | {"share_of_predict": round(medians["texts_a_second"] / alone, 3)}


def medians_of(loads: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over all rounds."""
    medians = {}
    for key in loads[0]:
        medians[key] = round(median(load[key] for load in loads), 4)
    return medians


def asked(port: int, texts: Sequence[str], clients: int, asking: Asking = OWN) -> dict[str, float]:
    """Have so many clients ask for all texts, each for one at a time. Return rates and seconds."""
    remaining = iter(texts)
    lock = threading.Lock()
    seconds: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while True:
            with lock:
                text = next(remaining, None)
            if text is None:
                connection.close()
                return
            began = time.perf_counter()
            answer(connection, text, asking)
            seconds.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - start
    seconds.sort()
    shares = {}
    for share in (50, 95, 99):
        at = min(len(seconds) - 1, len(seconds) * share // 100)
        shares[f"p{share}"] = seconds[at]
    return {"texts_a_second": len(texts) / whole, **shares}


def answer(connection: http.client.HTTPConnection, text: str, asking: Asking = OWN) -> list[dict[str, Any]]:
    """Ask for one text. Anything but an answer ends the benchmark."""
    connection.request(
        "POST", asking.path, json.dumps(asking.body(text)), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    scores: list[dict[str, Any]] = json.loads(content)
    return scores


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port


@contextmanager
def running(command: Sequence[str], asking: Asking = OWN) -> Iterator[Server]:
    """Start a server that takes its port as the last argument, and wait until it answers."""
    port = free_port()
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL)
    try:
        first_answer(port, "a text", asking, process)
        yield Server(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def first_answer(
    port: int, text: str, asking: Asking = OWN, process: subprocess.Popen[bytes] | None = None
) -> list[dict[str, Any]]:
    """Ask until there is an answer, or the server's process has ended."""
    until = time.perf_counter() + PATIENCE
    while time.perf_counter() < until and (process is None or process.poll() is None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            return answer(connection, text, asking)
        except (OSError, AssertionError, http.client.HTTPException):
            time.sleep(0.01)
        finally:
            connection.close()
    raise TimeoutError(f"no answer on port {port}")


def read_by(pid: int) -> int:
    """Return how many bytes a process has read, also from the page cache; 0 where that is not known."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in lines)["rchar"])


def serve_command(model: Path, *options: str) -> list[str]:
    """Return the command of ``prensa serve``, without its port."""
    code = "from prensa.cli.main import main; main()"
    return [sys.executable, "-c", code, "serve", str(model), *options, "--max-queue", "4096", "--port"]


def naive_command(export: Path) -> list[str]:
    """Return the command of the naive server, without its port."""
    return [sys.executable, "-m", "benchmarks.server", NAIVE, str(export)]


def serve_naively(export: str, port: int) -> None:
    """Answer each request by one call, in a thread."""
    import asyncio

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    served: Any = prensa.load(export)
    labels = served.config.id2label
    longest = served.record.longest

    def scores(text: str) -> list[dict[str, object]]:
        inputs = served.tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        shares = served(**inputs).logits[0].softmax(-1).tolist()
        return [{"label": labels[index], "score": share} for index, share in enumerate(shares)]

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse(await asyncio.to_thread(scores, body["inputs"]))

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    uvicorn.run(app, port=port, log_level="critical", access_log=False)


if __name__ == "__main__":
    # Threads of tokenizers and of the runtime would be more than there are cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.argv[1:2] == [NAIVE]:
        serve_naively(sys.argv[2], int(sys.argv[3]))
    else:
        main()
