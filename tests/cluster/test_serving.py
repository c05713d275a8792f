"""A model behind Ray Serve: the routes of a server, by replicas that Ray asks."""

import socket
import threading

import pytest
from tests.predicting.conftest import path_of  # noqa: F401  fixture
from tests.server.running import Server

from prensa.cluster.address import Address, Workers
from prensa.server.key import Key
from prensa.server.limits import Limits

pytest.importorskip("fastapi")
pytest.importorskip("starlette")

from prensa.server import on_ray
from prensa.server.on_ray import ToServe, run_on_ray

WORKERS = Workers(Address("auto"), 1, 1)


def to_serve(directory, **settings):
    return ToServe(directory, "tiny", Limits(**settings), Key("secret"), "torch", "float32")


class Stopped(threading.Event):
    """Waits until a test has asked what it wants to know, and then ends as Ctrl-C does."""

    def wait(self, timeout=None):
        self.ask()
        raise KeyboardInterrupt


# What Ray Serve's own modules say when they are imported.
@pytest.mark.filterwarnings("ignore")
def test_replicas_have_the_routes_and_limits_of_a_server(nodes, path_of, monkeypatch):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(None, listening.getsockname()[1])
    answers = {}
    key = {"authorization": "Bearer secret"}

    def ask(_):
        answers["info"] = server.ask("GET", "/info", None, key)
        answers["refused"] = server.ask("POST", "/predict", {"inputs": "a b"})
        answers["predicted"] = server.ask("POST", "/predict", {"inputs": "a b"}, key)
        answers["many"] = server.ask("POST", "/predict", {"inputs": [["a"], ["b"], ["c"]]}, key)
        answers["health"] = server.ask("GET", "/health", None)

    monkeypatch.setattr(Stopped, "ask", ask, raising=False)
    monkeypatch.setattr(on_ray, "Event", Stopped)
    told = []
    run_on_ray(to_serve(path_of("classes"), max_texts=2), WORKERS, "127.0.0.1", server.port, told.append)
    assert told == [1]
    statuses = {name: answer.status for name, answer in answers.items()}
    assert statuses == {"info": 200, "refused": 401, "predicted": 200, "many": 413, "health": 200}
    assert {one["label"] for one in answers["predicted"].content} == {
        "contradiction",
        "neutral",
        "entailment",
    }


def test_what_a_replica_lacks_is_one_line():
    error = RuntimeError(
        "Deploying failed:\n  File x\nprensa.errors.ModelError: node a: no such directory\n\n"
    )
    assert on_ray._reason(error) == "node a: no such directory"
    assert on_ray._reason(RuntimeError("The last line\nis this\n")) == "is this"
