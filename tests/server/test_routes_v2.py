"""The Open Inference Protocol, in JSON."""

import json

import numpy as np
import pytest


def tensor(*texts, name="text", **more):
    return {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)} | more


def ask(server, *inputs, **more):
    return server.post("/v2/models/tiny/infer", {"id": "7", "inputs": list(inputs)} | more)


def outputs(reply):
    assert reply.status == 200, reply.content
    named = {}
    for each in reply.content["outputs"]:
        assert np.prod(each["shape"]) == len(each["data"])
        named[each["name"]] = np.reshape(each["data"], each["shape"])
    return named


def test_scores_are_in_the_order_of_the_labels(server, models):
    reply = ask(server("classes"), tensor("one", "two"))
    assert (reply.content["model_name"], reply.content["id"]) == ("tiny", "7")
    found = outputs(reply)
    right = list(models("classes").predict(["one", "two"]))
    labels = list(models("classes").config.id2label.values())
    assert found["label"].tolist() == [answer.label for answer in right]
    np.testing.assert_allclose(found["logits"], [answer.output for answer in right], atol=1e-5)
    expected = [[answer.scores[label] for label in labels] for answer in right]
    np.testing.assert_allclose(found["scores"], expected, atol=1e-5)


def test_pairs_are_two_tensors(server, models):
    reply = ask(server("reranker"), tensor("c", "d", name="text_pair"), tensor("a", "b"))
    right = [answer.output for answer in models("reranker").predict([("a", "c"), ("b", "d")])]
    np.testing.assert_allclose(outputs(reply)["logits"], right, atol=1e-5)


def test_other_tasks(server, models):
    vectors = outputs(ask(server("embedding"), tensor("one", "two")))["embedding"]
    right = [answer.output for answer in models("embedding").predict(["one", "two"])]
    np.testing.assert_allclose(vectors, right, atol=1e-5)
    (entities,) = outputs(ask(server("words"), tensor("ab cd")))["entities"]
    (answer,) = models("words").predict(["ab cd"])
    assert [each["word"] for each in json.loads(entities)] == [span.text for span in answer.spans]
    question = (tensor("a", name="question"), tensor("b c d", name="context"))
    (answer,) = models("questions").predict([("a", "b c d")])
    assert outputs(ask(server("questions"), *question))["answer"].tolist() == [answer.spans[0].text]


def test_outputs_that_are_wanted(server):
    found = outputs(ask(server("classes"), tensor("one"), outputs=[{"name": "scores"}]))
    assert list(found) == ["scores"]


def test_rows_of_one_string_are_allowed(server):
    rows = tensor("a", "b", name="whatever") | {"shape": [2, 1], "data": [["a"], ["b"]]}
    assert outputs(ask(server("classes"), rows))["label"].shape == (2,)


def test_what_the_server_and_the_model_are(server):
    get = server("classes").get
    assert get("/v2").content["name"] == "prensa"
    assert get("/v2/health/live").content == {"live": True}
    assert get("/v2/health/ready").content["ready"]
    assert get("/v2/models/tiny/ready").content == {"name": "tiny", "ready": True}
    content = get("/v2/models/tiny").content
    assert content["platform"] == "prensa_torch"
    assert content["inputs"][0] == {"name": "text", "datatype": "BYTES", "shape": [-1]}
    named = {each["name"]: each for each in content["outputs"]}
    assert named["scores"] == {"name": "scores", "datatype": "FP32", "shape": [-1, 3]}
    assert get("/v2/models/other").status == 404


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        (["a"], "inputs[0]"),
        ([tensor("a", datatype="FP32")], "inputs[0].datatype"),
        ([tensor("a", shape=[2])], "inputs[0].shape"),
        ([tensor("a", shape=[True])], "inputs[0].shape"),
        ([tensor(1)], "inputs[0].data"),
        ([tensor("a", data="a")], "inputs[0].data"),
        ([tensor("a"), tensor("a")], "inputs[1].name"),
        ([tensor("a"), tensor("a", name=["x"])], "inputs[1].name"),
        ([tensor("a"), tensor("b", "c", name="text_pair")], "inputs[1].data"),
        ([tensor("a", name="text_pair"), tensor("a", name="more")], "inputs[1].name"),
        ([tensor()], "inputs[0].data"),
        ([], "inputs"),
        ("a", "inputs"),
    ],
)
def test_tensors_that_do_not_fit(server, inputs, field):
    refused = server("classes").post("/v2/models/tiny/infer", {"inputs": inputs})
    assert (refused.status, refused.content["field"]) == (422, field), refused.content
