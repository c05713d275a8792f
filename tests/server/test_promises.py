"""What a server promises when there is too much to do, when something breaks, and when clients leave."""

import asyncio
import http.client
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.server.running import load, running
from tests.serving.test_desk import wait_for

from prensa.server.app import _bounded


class Slow:
    """Makes a model's batches wait until they may go on; texts of so many tokens fail."""

    def __init__(self, served, monkeypatch):
        self.began, self.opened = threading.Semaphore(0), threading.Event()
        self.fails, self.dies = -1, -1
        self.batches = []
        real = type(served).outputs_of

        def outputs_of(model, rows, kind):
            lengths = [len(row["input_ids"]) for row in rows]
            self.batches.append(lengths)
            self.began.release()
            assert self.opened.wait(60)
            if self.dies in lengths:
                raise SystemExit
            if self.fails in lengths:
                raise ValueError("a runtime's words, which may hold a text")
            return real(model, rows, kind)

        monkeypatch.setattr(type(served), "outputs_of", outputs_of)


@pytest.fixture
def served(models):
    # Each has a class of its own, which a test may change.
    return load(models("classes").path)


@pytest.fixture
def slow(served, monkeypatch):
    return Slow(served, monkeypatch)


def predict(server, text="a"):
    return server.post("/predict", {"inputs": text})


def test_texts_of_all_clients_are_answered_together(served, slow):
    with running(served, max_wait=0) as server, ThreadPoolExecutor(9) as pool:
        first = pool.submit(predict, server)
        assert slow.began.acquire(timeout=60)
        texts = ["a b " * (1 + number % 3) for number in range(8)]
        others = [pool.submit(predict, server, text) for text in texts]
        wait_for(lambda: server.service.front.desk.length == 8)
        slow.opened.set()
        assert first.result().status == 200
        for other, right in zip(others, served.predict(texts), strict=True):
            found = {each["label"]: each["score"] for each in other.result().content}
            assert found == pytest.approx(right.scores, abs=1e-5)
    assert len(slow.batches[1]) == 8


def test_a_full_queue_is_refused_and_says_when_to_come_back(served, slow):
    with running(served, max_queue=3, max_texts=3) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(predict, server, [["a"], ["b"]])
        assert slow.began.acquire(timeout=60)
        refused = predict(server, [["c"], ["d"]])
        assert (refused.status, refused.content["error_type"]) == (429, "Overloaded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        # One has room.
        second = pool.submit(predict, server, "c")
        slow.opened.set()
        assert first.result().status == second.result().status == 200
        wait_for(lambda: predict(server, [["c"], ["d"]]).status == 200)


def test_a_text_that_would_wait_too_long_is_refused_at_once(served, slow):
    with running(served) as server, ThreadPoolExecutor(2) as pool:
        front = server.service.front
        # A hundred seconds for a token.
        front._count_batch([1], 100.0)
        first = pool.submit(predict, server, "a")
        assert slow.began.acquire(timeout=60)
        # Nothing waits yet, so that this one may.
        second = pool.submit(predict, server, "b")
        wait_for(lambda: front.desk.length == 1)
        refused = predict(server, "c")
        assert (refused.status, refused.content["error_type"]) == (429, "Overloaded")
        assert "a request may take 30;" in refused.content["error"]
        slow.opened.set()
        assert first.result().status == second.result().status == 200
        # Nothing waits any more.
        wait_for(lambda: predict(server, "c").status == 200)


def test_too_much_at_once_is_refused_for_good(served):
    with running(served, max_texts=2, max_body=1000) as server:
        refused = predict(server, [["a"]] * 3)
        assert refused.status == 413
        assert "at most 2" in refused.content["error"]
        refused = predict(server, "a" * 1000)
        assert refused.status == 413
        assert "1,000 bytes" in refused.content["error"]
        assert predict(server).status == 200


def test_a_client_that_does_not_read_is_given_up():
    async def never_sent(scope, receive, send):
        await asyncio.Event().wait()

    asyncio.run(_bounded(never_sent, 0.05)({}, None, None))


def test_tokens_of_a_book_are_refused(served):
    with running(served) as server:
        refused = server.post("/tokenize", {"inputs": ["a" * 60_000, "b" * 60_000]})
        assert refused.status == 413
        assert "100,000 characters" in refused.content["error"]


def test_ten_megabytes_get_an_answer_and_no_memory(served):
    def chunks():
        for _ in range(100):
            yield b"a" * 100_000

    with running(served) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request(
            "POST", "/predict", chunks(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().status == 413
        connection.close()
        # One that waits for leave to send is told at once.
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as waiting:
            waiting.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
            )
            assert b" 413 " in waiting.recv(4096)
        assert predict(server).status == 200


def test_one_text_that_fails_fails_no_other(served, slow):
    slow.fails = 5
    with running(served, max_wait=0) as server, ThreadPoolExecutor(3) as pool:
        first = pool.submit(predict, server)
        assert slow.began.acquire(timeout=60)
        good, bad = pool.submit(predict, server, "a b"), pool.submit(predict, server, "a b c")
        wait_for(lambda: server.service.front.desk.length == 2)
        slow.opened.set()
        assert first.result().status == good.result().status == 200
        failed = bad.result()
    assert (failed.status, failed.content["error_type"]) == (424, "Backend")
    assert "ValueError" in failed.content["error"]
    assert "words" not in failed.content["error"]


def test_no_number_is_no_answer(served, monkeypatch):
    monkeypatch.setattr(
        type(served), "outputs_of", lambda self, rows, kind: [np.float32([np.nan, 0, 0]) for _ in rows]
    )
    with running(served) as server:
        refused = predict(server)
    assert refused.status == 424
    assert refused.content["error"] == "the model gave no number (NaN or infinity)"


def test_a_worker_that_ends_is_replaced(served, slow, caplog):
    slow.opened.set()
    slow.dies = 5
    with running(served) as server, caplog.at_level(logging.INFO):
        failed = predict(server, "a b c")
        assert failed.status == 424
        assert predict(server, "a").status == 200
        assert server.get("/health").status == 200
        assert "prensa_workers_replaced_total 2.0" in server.get("/metrics").text
    assert "a worker ended (SystemExit)" in caplog.text


def test_a_request_that_takes_too_long_leaves_the_line(served, slow):
    with running(served, timeout="300ms") as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(predict, server)
        assert slow.began.acquire(timeout=60)
        late = predict(server, "b")
        assert (late.status, late.content["error_type"]) == (504, "Timeout")
        assert first.result().status == 504
        assert server.service.front.desk.length == 0
        # The batch that hangs is a reason to start the server again.
        wait_for(lambda: server.get("/health").status == 503)
        slow.opened.set()
        wait_for(lambda: server.get("/health").status == 200)
        assert len(slow.batches) == 1


def test_a_client_that_does_not_send_is_given_up(served):
    with running(served, timeout="300ms") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        assert b" 408 " in answer
        assert predict(server).status == 200


def test_a_client_that_leaves_is_not_answered(served, slow):
    with running(served, max_wait=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(predict, server)
        assert slow.began.acquire(timeout=60)
        desk = server.service.front.desk
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/predict", b'{"inputs": "b b"}')
        wait_for(lambda: desk.length == 1)
        connection.close()
        wait_for(lambda: desk.length == 0)
        slow.opened.set()
        assert first.result().status == 200
    assert slow.batches == [[3]]


def test_until_the_model_is_there_everybody_is_told_so(served):
    with running(served, is_open=False) as server:
        for reply in (predict(server), server.get("/info"), server.get("/health"), server.get("/nowhere")):
            assert reply.status == 503
            assert reply.content["error_type"] == "Unhealthy"
        assert server.get("/v2/health/live").status == 200
        assert server.get("/v2/health/ready").status == 503
        assert server.get("/").status == 200


def test_no_text_is_ever_logged(served, slow, caplog, capfd):
    slow.opened.set()
    slow.fails = 8
    with running(served) as server, caplog.at_level(logging.DEBUG):
        for text in ("secret", "secret" * 20, ["secret", 1], {"secret": 1}):
            predict(server, text)
            server.post("/", {"inputs": text})
        server.post("/predict", b"{secret")
        server.get("/secret")
    captured = capfd.readouterr()
    for said in (caplog.text, captured.out, captured.err):
        assert "secret" not in said


def test_a_defect_is_an_answer_too(served, monkeypatch, caplog):
    with running(served) as server:

        def broken(*_, **__):
            raise ZeroDivisionError("secret")

        monkeypatch.setattr("prensa.server.front.put_together", broken)
        reply = predict(server)
    assert (reply.status, reply.content["error_type"]) == (500, "Internal")
    assert "ZeroDivisionError at" in caplog.text
    assert "secret" not in caplog.text + reply.text


def test_many_clients_at_once_get_their_own_answers(served):
    texts = [" ".join("abcdefghij"[(n * k) % 10] for k in range(1, 2 + n % 12)) for n in range(60)]
    right = [dict(answer.scores) for answer in served.predict(texts)]
    with running(served, workers=2) as server, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda text: predict(server, text), texts))
    for reply, scores in zip(found, right, strict=True):
        assert {each["label"]: each["score"] for each in reply.content} == pytest.approx(scores, abs=1e-5)


def test_a_connection_is_kept_for_the_next_request(served):
    with running(served) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(5):
            connection.request("POST", "/predict", b'{"inputs": "a"}')
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (200, True)
        connection.close()
