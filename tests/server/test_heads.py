"""Connections that send no request, or not all of its head, are closed in the end, and shut nobody out."""

import socket
from contextlib import ExitStack, suppress

import pytest
from tests.server.running import PATIENCE, running
from tests.serving.test_desk import wait_for

GET = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def asked(connection, message):
    """Send a request, and wait for its answer, or until the connection is closed."""
    connection.sendall(message)
    answer = b""
    while chunk := connection.recv(4096):
        answer += chunk
        if answer.endswith(b"}"):
            break


def closed(connection, sent):
    """Whether the server closes a connection on which requests were sent, the last of them in part."""
    *whole, part = sent
    # It may do so at any time, and waiting for it raises ``TimeoutError`` where it does not.
    with suppress(ConnectionError):
        for message in whole:
            asked(connection, message)
        connection.sendall(part)
        while connection.recv(4096):
            pass
    return True


@pytest.mark.parametrize(
    "sent",
    [
        [b""],
        [b"G"],
        [b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"],
        # One byte ends Uvicorn's own limit between two requests.
        [GET, b"G"],
        [GET, GET, b"GET / HTTP/1.1\r\n"],
        # It is answered before its body has come, which never ends.
        [b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"{"],
    ],
)
def test_who_sends_no_head_is_not_waited_for(models, sent):
    with running(models("classes"), timeout="300ms") as server, connected(server) as connection:
        assert closed(connection, sent)


def test_silent_connections_shut_nobody_out(models, monkeypatch):
    monkeypatch.setattr("prensa.server.run._CONNECTIONS", 3)
    limits = {"max_queue": 1, "max_texts": 1, "timeout": "300ms"}
    with running(models("classes"), **limits) as server, ExitStack() as connections:
        for _ in range(6):
            connections.enter_context(connected(server))
        wait_for(lambda: server.get("/health").status == 200)
        assert server.post("/predict", {"inputs": "a"}).status == 200


def test_a_head_that_comes_in_parts_is_answered(models):
    with running(models("classes")) as server, connected(server) as connection:
        for byte in GET:
            connection.sendall(bytes([byte]))
        assert b" 200 " in connection.recv(4096)
