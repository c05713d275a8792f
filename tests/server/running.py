"""A server on a free port of this machine, in a thread, and a client that keeps nothing from a test."""

import http.client
import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import uvicorn

import prensa
from prensa.server.app import Service
from prensa.server.front import Front
from prensa.server.limits import Limits
from prensa.server.run import bind, settings

PATIENCE = 120


class Server:
    """Where a server is, what is behind it, and how it is asked."""

    def __init__(self, service, port):
        self.service = service
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method, path, body=None, headers=None):
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return SimpleNamespace(
            status=response.status,
            headers=response.headers,
            text=text,
            content=json.loads(text) if is_json else None,
        )

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, headers)


@contextmanager
def running(served, name="tiny", key=None, is_open=True, **limits):
    """Run a server for a loaded model; not ``is_open`` it is still loading it."""
    service = Service(name, Limits(**limits), key)
    if is_open:
        service.open(Front(served, name, service.limits, service.metrics))
    listening = bind("127.0.0.1", 0)
    server = uvicorn.Server(settings(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Server(service, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        service.close()
        listening.close()


def load(path):
    return prensa.load(path, runtime="torch", dtype="float32")
