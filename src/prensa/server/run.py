"""Run a server: take the port first, load the model, answer until a signal, finish what was begun."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from prensa.errors import SettingError
from prensa.server.app import Service, make_app
from prensa.server.front import Front
from prensa.server.heads import in_time
from prensa.serving.served import Served

# Connections that may wait to be accepted.
_BACKLOG = 2048
_PORTS = 65535
# Connections beside those of the texts that may wait: of whoever watches, and idle ones.
_CONNECTIONS = 256

Ready = Callable[[Front], None]
"""Called once the model answers."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises :class:`SettingError` for an address that cannot be had."""
    if not 0 <= port <= _PORTS:
        raise SettingError(f"`port` must be from 0 to {_PORTS}, found {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingError(
            f"`port` {port} of `host` {host!r} cannot be used ({reason}); choose another one"
        ) from error
    # Every connection takes it over. Without it the second of two small packets, an answer's head and its
    # body, waits for the client to acknowledge the first, which takes clients some 40 ms. The event loop
    # sees to it only for sockets that name their protocol, and this one does not.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(listening: socket.socket) -> str:
    """Return where a server is reached, as a URL."""
    host, port = listening.getsockname()[:2]
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}"


def run(service: Service, listening: socket.socket, load: Callable[[], Served], ready: Ready) -> None:
    """Answer on a socket until SIGTERM or Ctrl-C; what is in flight then is finished first.

    Meanwhile ``load`` loads the model: until then requests are told so (503). Raises what ``load`` raises,
    and :class:`~prensa.errors.DataError` for a model whose task has no answers.
    """
    with listening:
        asyncio.run(_run(service, listening, load, ready))


async def _run(service: Service, listening: socket.socket, load: Callable[[], Served], ready: Ready) -> None:
    server = _Server(settings(service))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    loading: asyncio.Future[Front] = loop.create_future()
    _in_thread(loop, loading, lambda: Front(load(), service.name, service.limits, service.metrics))

    def opened(future: asyncio.Future[Front]) -> None:
        if future.cancelled():
            return
        if future.exception() is not None:
            server.should_exit = True
            return
        service.open(future.result())
        ready(future.result())

    loading.add_done_callback(opened)
    await server.serve(sockets=[listening])
    service.close()
    if loading.done():
        # What made loading fail, if anything did.
        loading.result()


def settings(service: Service) -> uvicorn.Config:
    """Return how the server is run: without a word of its own in any log."""
    # Its warnings and errors would print a traceback, and with it perhaps a text.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return uvicorn.Config(
        make_app(service),
        http=in_time(service.limits.seconds),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Each connection may hold a body before it is known how many texts are in it.
        limit_concurrency=service.limits.max_queue + _CONNECTIONS,
        # What is in flight may take as long as any request.
        timeout_graceful_shutdown=math.ceil(service.limits.seconds),
    )


class _Server(uvicorn.Server):
    """A server whose signals are ours: its own would be raised once more when it has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _in_thread(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Front], work: Callable[[], Front]
) -> None:
    """Do work in a thread that the end of the program does not wait for, and put its result in a future."""
    # With what the caller has allowed.
    context = contextvars.copy_context()

    def put(result: Front | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if result is not None:
            future.set_result(result)
        elif error is not None:
            future.set_exception(error)

    def done() -> None:
        result: Front | None = None
        error: BaseException | None = None
        try:
            result = context.run(work)
        except BaseException as raised:  # noqa: BLE001  it is raised where the future is looked at
            error = raised
        # A loop that is closed has ended before the model was there.
        if not loop.is_closed():
            loop.call_soon_threadsafe(put, result, error)

    threading.Thread(target=done, name="prensa-loading", daemon=True).start()
