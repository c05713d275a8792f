"""A server that is asked for twice what it can answer, for minutes, by clients of all kinds.

Most send a text. Others send slowly, close half of their connection, leave in the middle, send 10 MB, or what
is no request at all. After half of the time a worker of the server is killed. What counts: every text is
answered or refused, memory stays flat, the server answers afterwards as it did before, and ends when it is
told to.
``python -m benchmarks.load [EXPORT] [--minutes N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import http.client
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.exported import exported
from benchmarks.record import save
from benchmarks.server import asked, comments, first_answer, running

SERVE = "serve"
TIMES = 2.0
"""How many times as much is asked for as can be answered."""

# Texts and clients by which it is found out how much that is.
CAPACITY_TEXTS = 1000
CAPACITY_CLIENTS = 32
# Requests without an answer at a time; more are not sent, and counted as that.
MOST_OPEN = 4000
# Seconds after which a client gives up, far above the server's own limit.
PATIENCE = 90.0
SAMPLES = 5.0
QUEUE = 512

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(frozen=True)
class Client:
    """A kind of client: of 1,000 requests ``share`` are its own. ``make`` gives what it sends, in parts.

    It waits ``pause`` seconds behind each part. Then it closes its half of the connection if it ``halves``,
    or all of it if it ``leaves``.
    """

    name: str
    share: int
    make: Callable[[str], Sequence[bytes]]
    pause: float = 0.0
    halves: bool = False
    leaves: bool = False


def request(body: bytes, path: str = "/predict", method: str = "POST") -> bytes:
    """Return a request on a connection of its own."""
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def asks(text: str) -> bytes:
    """Return a request for the answer to a text."""
    return request(json.dumps({"inputs": text, "truncate": True}).encode())


def slowly(text: str) -> Sequence[bytes]:
    """Return a request in eight parts."""
    whole = asks(text)
    size = -(-len(whole) // 8)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


MALFORMED = (
    request(b"{"),
    request(b"[]"),
    request(b'{"inputs": 3}'),
    request(b'{"inputs": {"a": "b"}}'),
    request(b'{"inputs": [["a", 1]]}'),
    request(b'{"inputs": "a", "truncate": "maybe"}'),
    request(b'{"inputs": "\\ud800"}'),
    request(b'{"inputs": "a\xff"}'),
    request(b"[" * 50_000),
    request(b'{"inputs": "a"}', path="/no/such/route"),
    request(b"", method="DELETE"),
    b"GET /\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"POST /predict HTTP/1.1\r\nContent-Length: minus\r\n\r\n",
)
"""Requests of every wrong kind: answered by a status, or not HTTP and then closed."""


def malformed(_: str) -> Sequence[bytes]:
    """Return what is no request that can be answered."""
    return [random.choice(MALFORMED)]


CLIENTS = (
    Client("a text", 900, lambda text: [asks(text)]),
    Client("slow", 30, slowly, pause=0.5),
    Client("half-closed", 20, lambda text: [asks(text)], halves=True),
    Client("leaves", 20, lambda text: [asks(text)[:-5]], leaves=True),
    Client("10 MB", 5, lambda _: [request(b" " * 10_000_000)]),
    Client("malformed", 25, malformed),
)


class Tally:
    """What became of all requests."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Counter[str]] = {client.name: Counter() for client in CLIENTS}
        self.seconds: list[float] = []
        self.is_open = 0

    async def send(self, port: int, client: Client, text: str) -> None:
        """Send one request, and count what comes of it: a status, ``closed`` or ``late``."""
        self.is_open += 1
        began = time.perf_counter()
        try:
            outcome = await asyncio.wait_for(exchange(port, client, text), PATIENCE)
        except asyncio.TimeoutError:
            outcome = "late"
        except OSError:
            outcome = "closed"
        finally:
            self.is_open -= 1
        self.outcomes[client.name][outcome] += 1
        if client.name == "a text" and outcome == "200":
            self.seconds.append(time.perf_counter() - began)

    def summary(self) -> dict[str, Any]:
        """Return counts by kind of client, and how long answers took."""
        ordered = sorted(self.seconds)
        shares = {}
        for share in (50, 95, 99):
            if ordered:
                shares[f"p{share}"] = round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3)
        outcomes = {name: dict(sorted(own.items())) for name, own in self.outcomes.items()}
        return {"outcomes": outcomes, "seconds_to_an_answer": shares}


async def exchange(port: int, client: Client, text: str) -> str:
    """Send a request as a client does, and return the status, or ``closed`` where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in client.make(text):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(client.pause)
        if client.leaves:
            return "left"
        if client.halves:
            writer.write_eof()
        status = _STATUS.match(await reader.read())
        return "closed" if status is None else status[1].decode()
    finally:
        writer.close()


async def ask_for(port: int, texts: Sequence[str], rate: float, seconds: float, tally: Tally) -> int:
    """Send ``rate`` requests a second, whatever comes back; return how many were not sent."""
    chooser = random.Random(0)
    shares = [client.share for client in CLIENTS]
    tasks: set[asyncio.Task[None]] = set()
    unsent = 0
    start = time.perf_counter()
    number = 0
    while time.perf_counter() - start < seconds:
        number += 1
        # By the clock: what was late does not make the rest later.
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        if tally.is_open >= MOST_OPEN:
            unsent += 1
            continue
        (client,) = chooser.choices(CLIENTS, shares)
        task = asyncio.ensure_future(tally.send(port, client, chooser.choice(texts)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return unsent


class Watch:
    """The memory of a process over time, and a worker that is killed half of the way."""

    def __init__(self, pid: int, seconds: float) -> None:
        self.megabytes: list[float] = []
        self._pid = pid
        self._seconds = seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        start = time.perf_counter()
        has_killed = False
        while not self._is_over.wait(SAMPLES):
            self.megabytes.append(resident(self._pid) / 1e6)
            if not has_killed and time.perf_counter() - start > self._seconds / 2:
                os.kill(self._pid, signal.SIGUSR1)
                has_killed = True

    def summary(self) -> dict[str, Any]:
        """Return the median of each tenth of the time, and how much more the last has than the sixth.

        At first a runtime meets every length for the first time, prepares itself for each, and keeps that.
        """
        size = max(1, len(self.megabytes) // 10)
        tenths = []
        for start in range(0, len(self.megabytes), size):
            tenths.append(round(median(self.megabytes[start : start + size]), 1))
        found: dict[str, Any] = {"megabytes_by_tenths": tenths, "most": round(max(self.megabytes), 1)}
        half = len(tenths) // 2
        found["growth_in_the_second_half"] = round(tenths[-1] / tenths[half] - 1, 4)
        return found


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    with exported(arguments.export) as export:
        found = measured(export, arguments.minutes)
    of = {"model": "toxic-deberta", "minutes": arguments.minutes, "note": arguments.note}
    save("load", {**of, **found})


def measured(export: Path, minutes: float) -> dict[str, Any]:
    """Run a server under load."""
    texts = comments(CAPACITY_TEXTS)
    command = [sys.executable, "-m", "benchmarks.load", SERVE, str(export)]
    with running(command) as server:
        before = first_answer(server.port, texts[0])
        # Twice: the first round meets every length for the first time.
        asked(server.port, texts, CAPACITY_CLIENTS)
        capacity = asked(server.port, texts, CAPACITY_CLIENTS)["texts_a_second"]
        tally = Tally()
        watch = Watch(server.process.pid, 60 * minutes)
        unsent = asyncio.run(ask_for(server.port, texts, TIMES * capacity, 60 * minutes, tally))
        watch.stop()
        after = first_answer(server.port, texts[0])
        replaced = counted(server.port, "prensa_workers_replaced_total")
        process = server.process
    ordinary = tally.outcomes["a text"]
    promised = sum(ordinary[status] for status in ("200", "429", "503", "504"))
    return {
        "texts_a_second_that_it_can_answer": round(capacity, 2),
        "requests_a_second": round(TIMES * capacity, 2),
        "queue": QUEUE,
        "unsent": unsent,
        **tally.summary(),
        "texts_answered_or_refused": promised,
        "texts_without_either": sum(ordinary.values()) - promised,
        "memory": watch.summary(),
        "workers_killed_and_replaced": replaced,
        "same_answer_afterwards": before == after,
        "exit_code": process.returncode,
    }


def counted(port: int, name: str) -> float:
    """Return a counter of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    for line in lines:
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise LookupError(name)


def serve(export: str, port: str) -> None:
    """Run ``prensa serve``, with a signal that kills one of its workers."""
    from prensa.cli.main import main as run

    signal.signal(signal.SIGUSR1, lambda *_: kill_worker())
    sys.argv = ["prensa", "serve", export, "--max-queue", str(QUEUE), "--port", port]
    run()


def kill_worker() -> None:
    """Raise in a worker what ends a thread, wherever it is."""
    for thread in threading.enumerate():
        if thread.name == "prensa-worker" and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )
            return


if __name__ == "__main__":
    # Threads of tokenizers and of the runtime would be more than there are cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.argv[1:2] == [SERVE]:
        serve(sys.argv[2], sys.argv[3])
    else:
        main()
