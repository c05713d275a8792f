"""The routes of Text Embeddings Inference, by the shapes that its clients send and read."""

import numpy as np
import pytest
from tests.server.running import running

PAIRS = [["one"], ["one", "two"], ["a b"]]


def scores(listed):
    return {each["label"]: each["score"] for each in listed}


@pytest.mark.parametrize("task", ["classes", "multi-label"])
@pytest.mark.parametrize(
    ("inputs", "given"),
    [("one", "one"), (["one"], "one"), (["one", "two"], ("one", "two"))],
)
def test_predict_gives_the_scores_of_a_text_or_a_pair(server, models, task, inputs, given):
    reply = server(task).post("/predict", {"inputs": inputs})
    (right,) = models(task).predict([given])
    assert reply.status == 200
    assert scores(reply.content) == pytest.approx(right.scores, abs=1e-5)
    assert [each["label"] for each in reply.content] == list(right.scores)
    assert int(reply.headers["x-compute-tokens"]) > 2
    assert float(reply.headers["x-total-time"]) >= float(reply.headers["x-inference-time"])


def test_predict_takes_a_batch_of_texts_and_pairs(server, models):
    reply = server("classes").post("/predict", {"inputs": PAIRS})
    given = [each[0] if len(each) == 1 else tuple(each) for each in PAIRS]
    for listed, right in zip(reply.content, models("classes").predict(given), strict=True):
        assert scores(listed) == pytest.approx(right.scores, abs=1e-5)


@pytest.mark.parametrize("task", ["classes", "number"])
def test_raw_scores_are_the_models_numbers(server, models, task):
    reply = server(task).post("/predict", {"inputs": "one", "raw_scores": True})
    (right,) = models(task).predict(["one"])
    labels = models(task).config.id2label.values()
    assert scores(reply.content) == pytest.approx(
        dict(zip(labels, right.output.tolist(), strict=True)), abs=1e-5
    )


@pytest.mark.parametrize("raw", [False, True])
def test_rerank_puts_the_text_first_that_fits_best(server, models, raw):
    texts = ["one", "two three", "x"]
    sent = {"query": "what", "texts": texts, "raw_scores": raw, "return_text": True}
    ranks = server("reranker").post("/rerank", sent).content
    right = [answer.output[0] for answer in models("reranker").predict([("what", text) for text in texts])]
    if not raw:
        right = [1 / (1 + np.exp(-each)) for each in right]
    assert [rank["index"] for rank in ranks] == sorted(range(3), key=lambda index: -right[index])
    for rank in ranks:
        assert rank["score"] == pytest.approx(right[rank["index"]], abs=1e-5)
        assert rank["text"] == texts[rank["index"]]
    assert "text" not in server("reranker").post("/rerank", sent | {"return_text": False}).content[0]


@pytest.mark.parametrize("inputs", ["one", ["one", "two three"]])
def test_embed_gives_vectors_of_length_one(server, models, inputs):
    texts = [inputs] if isinstance(inputs, str) else inputs
    right = np.stack([answer.output for answer in models("embedding").predict(texts)])
    plain = server("embedding").post("/embed", {"inputs": inputs, "normalize": False}).content
    np.testing.assert_allclose(plain, right, atol=1e-5)
    found = server("embedding").post("/embed", {"inputs": inputs}).content
    np.testing.assert_allclose(found, right / np.linalg.norm(right, axis=1, keepdims=True), atol=1e-5)
    short = server("embedding").post("/embed", {"inputs": inputs, "dimensions": 4}).content
    assert np.shape(short) == (len(texts), 4)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)


def test_embed_puts_a_prompt_in_front(server, models):
    (right,) = models("embedding").predict(["one"], prompt_name="query")
    sent = {"inputs": "one", "prompt_name": "query", "normalize": False}
    np.testing.assert_allclose(server("embedding").post("/embed", sent).content, [right.output], atol=1e-5)
    refused = server("embedding").post("/embed", sent | {"prompt_name": "passage"})
    assert (refused.status, refused.content["field"]) == (422, "prompt_name")
    assert "it has query" in refused.content["error"]


def test_tokens_have_their_places(server):
    sent = {"inputs": "ab c"}
    (tokens,) = server("classes").post("/tokenize", sent).content
    assert [token["text"] for token in tokens] == ["[CLS]", "a", "b", "c", "[SEP]"]
    assert [(token["start"], token["stop"]) for token in tokens[1:-1]] == [(0, 1), (1, 2), (3, 4)]
    assert tokens[0] == {"id": 2, "special": True, "text": "[CLS]", "start": None, "stop": None}
    (bare,) = server("classes").post("/tokenize", sent | {"add_special_tokens": False}).content
    assert bare == tokens[1:-1]


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("classes", "classifier"),
        ("reranker", "reranker"),
        ("embedding", "embedding"),
        ("words", "finds words"),
    ],
)
def test_info_says_what_the_model_is(server, task, kind):
    content = server(task).get("/info").content
    assert list(content["model_type"]) == [kind]
    assert content["model_id"] == "tiny"
    assert content["max_input_length"] == 32
    assert content["max_client_batch_size"] == 128
    assert content["auto_truncate"] is False
    if task == "classes":
        assert content["model_type"]["classifier"]["id2label"]["1"] == "neutral"


def test_a_long_text_is_truncated_where_that_is_wanted(server, models):
    long = "a " * 60
    refused = server("classes").post("/predict", {"inputs": [["a"], [long]]})
    assert refused.status == 413
    assert refused.content["error_type"] == "Validation"
    assert "inputs[1]: 62 tokens, the model reads 32" in refused.content["error"]
    reply = server("classes").post("/predict", {"inputs": long, "truncate": True})
    (right,) = models("classes").predict([long])
    assert scores(reply.content) == pytest.approx(right.scores, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "path"),
    [("embedding", "/predict"), ("classes", "/embed"), ("classes", "/rerank"), ("words", "/predict")],
)
def test_a_route_that_the_task_does_not_have(server, task, path):
    reply = server(task).post(path, {"inputs": "a"})
    assert reply.status == 404
    routes = reply.content["routes"]
    assert f"POST {path}" not in routes
    assert "POST /" in routes
    assert all(route in reply.content["error"] for route in routes)
    # What is listed is there.
    for route in routes:
        method, place = route.split(" ")
        assert server(task).ask(method, place, {} if method == "POST" else None).status in {200, 422}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/predict", 405), ("GET", "/metrics/", 404)],
)
def test_no_route_at_all(server, method, path, status):
    reply = server("classes").ask(method, path)
    assert reply.status == status
    assert "POST /predict" in reply.content["routes"]


def test_counts_are_there_for_whoever_watches(models):
    with running(models("number")) as server:
        for _ in range(2):
            server.post("/predict", {"inputs": "one"})
        server.get("/nowhere/one")
        text = server.get("/metrics").text
    assert 'prensa_requests_total{route="/predict",status="200"} 2.0' in text
    assert 'prensa_requests_total{route="other",status="404"} 1.0' in text
    assert "prensa_batch_texts_count 2.0" in text
    assert "prensa_queue_texts 0.0" in text
    assert "nowhere" not in text
