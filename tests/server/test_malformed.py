"""Whatever is sent gets an answer that says what is wrong with it, and the server goes on."""

import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "inputs",
    "parameters",
    "truncate",
    "query",
    "texts",
    "raw_scores",
    "outputs",
    "id",
    "top_k",
    "normalize",
)
BODIES = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4)
PATHS = st.sampled_from(["/", "/predict", "/rerank", "/tokenize", "/v2/models/tiny/infer"])


@settings(max_examples=60)
@given(PATHS, BODIES)
@pytest.mark.parametrize("task", ["reranker", "words"])
def test_any_json(server, task, path, body):
    reply = server(task).post(path, body)
    assert reply.status in {200, 404, 413, 422}, reply.content
    if reply.status == 422:
        assert reply.content["field"]
        assert reply.content["error_type"] == "Validation"


@settings(max_examples=30)
@given(PATHS, st.binary(max_size=40))
def test_any_bytes(server, path, body):
    assert server("reranker").post(path, body).status in {404, 422}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "expected a JSON object, found an array of 0"),
        (b'"a"', "expected a JSON object, found a string"),
        (b'{"inputs": 1' + b"0" * 5000 + b"}", "body"),
    ],
)
def test_what_is_no_object(server, body, reason):
    refused = server("classes").post("/predict", body)
    assert (refused.status, refused.content["field"]) == (422, "body")
    assert reason in refused.content["error"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/predict", {}, "inputs"),
        ("/predict", {"inputs": []}, "inputs"),
        ("/predict", {"inputs": 3}, "inputs"),
        ("/predict", {"inputs": ["a", "b", "c"]}, "inputs"),
        ("/predict", {"inputs": [["a"], "b"]}, "inputs[1]"),
        ("/predict", {"inputs": [["a"], [None]]}, "inputs[1][0]"),
        ("/predict", {"inputs": [["a"], []]}, "inputs[1]"),
        ("/predict", {"inputs": "a", "truncate": 1}, "truncate"),
        ("/predict", {"inputs": "a", "raw_scores": "no"}, "raw_scores"),
        ("/predict", {"inputs": [["a"], ["\ud800"]]}, "inputs[1]"),
        ("/", {"inputs": []}, "inputs"),
        ("/", {"inputs": ["a", 3]}, "inputs[1]"),
        ("/", {"inputs": {"words": "a"}}, "inputs"),
        ("/tokenize", {"inputs": ["a", "\udc00"]}, "inputs[1]"),
        ("/tokenize", {"inputs": []}, "inputs"),
    ],
)
def test_the_field_is_named(server, path, body, field):
    refused = server("classes").post(path, body)
    assert (refused.status, refused.content["field"]) == (422, field), refused.content


@pytest.mark.parametrize(
    ("task", "path", "body", "field"),
    [
        ("reranker", "/rerank", {"texts": ["a"]}, "query"),
        ("reranker", "/rerank", {"query": 1, "texts": ["a"]}, "query"),
        ("reranker", "/rerank", {"query": "a", "texts": []}, "texts"),
        ("reranker", "/rerank", {"query": "a", "texts": ["b", 1]}, "texts[1]"),
        ("embedding", "/embed", {"inputs": ["a", 1]}, "inputs[1]"),
        ("embedding", "/embed", {"inputs": "a", "dimensions": 0}, "dimensions"),
        ("embedding", "/embed", {"inputs": "a", "dimensions": 33}, "dimensions"),
        ("words", "/", {"inputs": ["a", ["b", "c"]]}, "inputs[1]"),
        ("words", "/", {"inputs": "a", "aggregation_strategy": "max"}, "aggregation_strategy"),
        ("questions", "/", {"inputs": {"question": "a"}}, "inputs"),
        ("questions", "/", {"inputs": {"question": "a " * 40, "context": "b"}}, "inputs"),
    ],
)
def test_the_field_is_named_for_other_tasks(server, task, path, body, field):
    refused = server(task).post(path, body)
    assert (refused.status, refused.content["field"]) == (422, field), refused.content


@pytest.mark.parametrize(
    "sent",
    [
        b"no http at all\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"",
    ],
)
def test_what_is_no_request_harms_nobody(server, sent):
    with socket.create_connection(("127.0.0.1", server("classes").port), timeout=60) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except OSError:
            pass  # it was thrown out before it had sent all
    assert server("classes").post("/predict", {"inputs": "a"}).status == 200


def test_what_is_refused_says_nothing_else_of_the_text(server):
    """Errors name places and types; the words of a client come back to it at most."""
    refused = server("classes").post("/predict", json.dumps({"inputs": {"secret": "words"}}).encode())
    assert "secret" not in refused.text
    assert "words" not in refused.text
