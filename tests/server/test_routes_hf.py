"""``POST /`` with the client of ``huggingface_hub``, and with what else is sent there."""

import numpy as np
import pytest
from huggingface_hub import InferenceClient


@pytest.fixture
def client(server, monkeypatch):
    # Tests are offline, and this machine is not the hub.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def client(task):
        return InferenceClient(server(task).url, token="not-checked")

    return client


@pytest.mark.parametrize("task", ["classes", "multi-label"])
def test_a_text_is_classified(client, models, task):
    found = client(task).text_classification("one two")
    (right,) = models(task).predict(["one two"])
    assert [each.label for each in found] == list(right.scores)
    assert [each.score for each in found] == pytest.approx(list(right.scores.values()), abs=1e-5)
    (first,) = client(task).text_classification("one two", top_k=1)
    assert first.label == right.label


def test_scores_by_another_function(client, models):
    found = client("classes").text_classification("one", function_to_apply="sigmoid")
    (right,) = models("classes").predict(["one"])
    expected = sorted((1 / (1 + np.exp(-right.output))).tolist(), reverse=True)
    assert [each.score for each in found] == pytest.approx(expected, abs=1e-5)


def test_a_text_becomes_a_vector(client, models):
    (right,) = models("embedding").predict(["one"])
    np.testing.assert_allclose(client("embedding").feature_extraction("one"), [right.output], atol=1e-5)
    found = client("embedding").feature_extraction("one", normalize=True)
    np.testing.assert_allclose(found, [right.output / np.linalg.norm(right.output)], atol=1e-5)
    (right,) = models("embedding").predict(["one"], prompt_name="query")
    found = client("embedding").feature_extraction("one", prompt_name="query")
    np.testing.assert_allclose(found, [right.output], atol=1e-5)


def test_words_are_found(client, models):
    text = "ab cd e"
    found = client("words").token_classification(text)
    (right,) = models("words").predict([text])
    assert [(each.entity_group, each.word, each.start, each.end) for each in found] == [
        (span.label, span.text, span.start, span.end) for span in right.spans
    ]
    assert right.spans


def test_a_question_is_answered(client, models):
    found = client("questions").question_answering(question="a b", context="c d e f")
    (right,) = models("questions").predict([("a b", "c d e f")])
    (span,) = right.spans
    assert (found.answer, found.start, found.end) == (span.text, span.start, span.end)
    assert found.score == pytest.approx(span.score, abs=1e-5)


def test_lists_and_pairs(server, models):
    inputs = ["one", ["one", "two"], {"text": "a", "text_pair": "b"}, {"text": "x"}]
    found = server("classes").post("/", {"inputs": inputs, "parameters": {"top_k": 2}})
    for listed, right in zip(found.content, models("classes").predict(inputs), strict=True):
        assert [each["label"] for each in listed] == list(right.scores)[:2]
    single = server("classes").post("/", {"inputs": {"text": "a", "text_pair": "b"}})
    assert [each["label"] for each in single.content[0]][:2] == [each["label"] for each in found.content[2]]
    words = server("words").post("/", {"inputs": ["ab", "cd"]})
    assert len(words.content) == 2
    two = [{"question": "a", "context": "b c"}, {"question": "d", "context": "e"}]
    assert len(server("questions").post("/", {"inputs": two}).content) == 2


def test_labels_that_are_not_wanted(server):
    (all_found, some) = (
        server("words").post("/", {"inputs": "ab cd e", "parameters": {"ignore_labels": ignored}}).content
        for ignored in ([], ["PER"])
    )
    assert all_found
    assert not [each for each in some if each["entity_group"] == "PER"]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": "1"}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"function_to_apply": "tanh"}, "function_to_apply"),
        ({"truncation": "longest_first"}, "truncation"),
        ([], "parameters"),
    ],
)
def test_parameters_that_mean_nothing(server, parameters, field):
    refused = server("classes").post("/", {"inputs": "a", "parameters": parameters})
    assert (refused.status, refused.content["field"]) == (422, field)
