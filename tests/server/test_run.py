"""The command: what it refuses before it listens, how it starts, and how it ends."""

import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.running import Server, load
from tests.server.test_promises import Slow, predict
from tests.serving.test_desk import wait_for

from prensa.cli.main import main
from prensa.errors import DifferentAnswersError, SettingError
from prensa.server import run as running_module
from prensa.server.app import Service, make_app
from prensa.server.limits import Limits
from prensa.server.run import address_of, bind, run


@pytest.fixture
def command(monkeypatch, capfd):
    """Run ``prensa serve``, and return its exit code with what it printed."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["prensa", "serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capfd.readouterr()

    return command


@pytest.fixture(autouse=True)
def signals():
    """Give signals back their meaning: commands and loops set their own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--workers", 0], "--workers must be at least 1, found 0"),
        (["--max-wait", "soon"], "--max-wait: expected a time such as 5ms or 0s, found 'soon'"),
        (["--max-texts", 9, "--max-queue", 8], "one request would be more than --max-queue 8"),
        (["--port", 70000], "--port must be from 0 to 65535, found 70000"),
        (["--host", "no.such.host.invalid"], "--port 8080 of --host 'no.such.host.invalid' cannot be used"),
        (["--precision", "int3"], "--precision int3: expected int8, bf16, fp32"),
        (["--api-key-file", "/no/such/file"], "--api-key-file: /no/such/file cannot be read"),
        (["--name", "a?b", "--port", 0], "--name 'a?b': expected letters"),
        (["--runtime", "tpu", "--port", 0], "--runtime tpu: expected auto, torch"),
        (["--text-column", "a", "--port", 0], "--text-column needs --then"),
        (["--limit", 5, "--port", 0], "--limit needs --then"),
    ],
)
def test_settings_that_cannot_be(command, models, options, reason):
    code, printed = command(models("classes").path, *options)
    assert code == 2
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("prensa: error: ")
    assert reason in last
    assert printed.out == ""


def test_a_directory_that_is_no_model(command, tmp_path):
    code, printed = command(tmp_path, "--port", 0)
    assert (code, len(printed.err.splitlines())) == (2, 1)


def test_a_port_in_use_is_said_before_the_model_is_loaded(command, models):
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        code, printed = command(models("classes").path, "--port", port)
    assert (code, len(printed.err.splitlines())) == (2, 1)
    assert f"--port {port} of --host '127.0.0.1' cannot be used" in printed.err


def test_addresses():
    with bind("127.0.0.1", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    for name in ("", "a{b}", "a#b"):
        with pytest.raises(SettingError, match="name"):
            make_app(Service(name, Limits()))


def test_a_model_that_answers_otherwise_does_not_become_ready():
    service, ready = Service("tiny", Limits()), []

    def refused():
        raise DifferentAnswersError("other answers on this machine")

    with pytest.raises(DifferentAnswersError, match="other answers"):
        run(service, bind("127.0.0.1", 0), refused, ready.append)
    assert not ready


def test_the_command_answers_until_it_is_told_to_end(command, models, monkeypatch):
    sockets = []

    def remembered(host, port):
        sockets.append(bind(host, port))
        return sockets[0]

    monkeypatch.setattr(running_module, "bind", remembered)
    replies = []

    def ask():
        try:
            wait_for(lambda: sockets)
            server = Server(None, sockets[0].getsockname()[1])
            wait_for(lambda: server.get("/health").status == 200)
            replies.append(predict(server, "one"))
            replies.append(server.get("/info"))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    options = ("--port", 0, "--runtime", "torch", "--precision", "fp32", "--name", "mine")
    code, printed = command(models("classes").path, *options)
    asking.join()
    assert code == 0
    (right,) = models("classes").predict(["one"])
    assert {each["label"]: each["score"] for each in replies[0].content} == pytest.approx(
        right.scores, abs=1e-5
    )
    assert replies[1].content["model_id"] == "mine"
    assert printed.out.startswith("mine answers on http://127.0.0.1:")
    assert "(torch, float32)" in printed.out


def test_what_is_in_flight_is_finished(models, monkeypatch):
    served = load(models("classes").path)
    slow = Slow(served, monkeypatch)
    service, listening = Service("tiny", Limits()), bind("127.0.0.1", 0)
    server = Server(service, listening.getsockname()[1])
    replies = []

    def ask():
        try:
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(predict, server, "a")
                assert slow.began.acquire(timeout=60)
                waiting = pool.submit(predict, server, "b c")
                wait_for(lambda: service.front.desk.length == 1)
                os.kill(os.getpid(), signal.SIGTERM)
                wait_for(lambda: _refuses(server))
                slow.opened.set()
                replies.extend([first.result(), waiting.result()])
        finally:
            slow.opened.set()
            os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    # Signals after the end of the server are nobody's.
    signal.signal(signal.SIGTERM, lambda *_: None)
    run(service, listening, lambda: served, lambda _: asking.start())
    signal.signal(signal.SIGTERM, lambda *_: None)
    asking.join()
    assert [reply.status for reply in replies] == [200, 200]


def _refuses(server):
    """Whether nobody new is let in."""
    try:
        server.get("/v2/health/live")
    except OSError:
        return True
    return False


def test_an_answer_does_not_wait_for_its_head_to_be_acknowledged():
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
