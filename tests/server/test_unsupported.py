"""A field of other servers that is not followed here is refused, unless it asks for what is done anyway."""

import pytest
from huggingface_hub.inference._generated.types import (
    feature_extraction,
    question_answering,
    text_classification,
    token_classification,
)
from tests.server.running import load, running

from prensa.server.unsupported import check_supported, of_pipeline

QUESTION = {"question": "a b", "context": "c d e f"}
OTHERS = {
    "/predict": [("truncation_direction", "Left"), ("truncation_direction", "left")],
    "/rerank": [("truncation_direction", "Left")],
    "/embed": [("truncation_direction", "Left")],
    "/tokenize": [("prompt_name", "query")],
}
SENT = {
    "/predict": ("classes", {"inputs": "one", "truncate": True}),
    "/rerank": ("reranker", {"query": "what", "texts": ["one"], "truncate": True}),
    "/embed": ("embedding", {"inputs": "one", "truncate": True}),
    "/tokenize": ("embedding", {"inputs": "one"}),
}
PARAMETERS = [
    ("classes", "truncation_direction", "left", "Right"),
    ("classes", "raw_scores", True, False),
    ("classes", "return_all_scores", False, True),
    ("classes", "max_length", 8, 32),
    ("classes", "candidate_labels", ["a", "b"], None),
    ("reranker", "raw_scores", 0, False),
    ("embedding", "truncation_direction", "left", "right"),
    ("embedding", "encoding_format", "base64", "float"),
    ("embedding", "tokenize_kwargs", {"max_length": 4}, None),
    ("words", "aggregation_strategy", "first", "simple"),
    ("words", "stride", 4, None),
    ("words", "is_split_into_words", True, False),
    ("questions", "top_k", 3, 1),
    ("questions", "topk", True, 1),
    ("questions", "doc_stride", 8, 128),
    ("questions", "max_answer_len", 1, 15),
    ("questions", "max_seq_len", 16, 384),
    ("questions", "max_question_len", 4, 64),
    ("questions", "handle_impossible_answer", True, False),
    ("questions", "align_to_words", False, True),
]


@pytest.mark.parametrize(
    ("path", "name", "value"), [(path, *pair) for path in OTHERS for pair in OTHERS[path]]
)
def test_routes_of_text_embeddings_inference(server, path, name, value):
    task, body = SENT[path]
    refused = server(task).post(path, body | {name: value})
    assert (refused.status, refused.content["field"]) == (422, name)
    assert "leave it out" in refused.content["error"]
    assert server(task).post(path, body | {name: None}).status == 200


@pytest.mark.parametrize("value", ["Right", "right"])
@pytest.mark.parametrize("path", ["/predict", "/rerank", "/embed"])
def test_the_direction_that_is_taken_anyway(server, path, value):
    task, body = SENT[path]
    assert server(task).post(path, body | {"truncation_direction": value}).status == 200


@pytest.mark.parametrize(("task", "name", "other", "usual"), PARAMETERS)
def test_parameters_of_the_pipelines(server, task, name, other, usual):
    inputs = QUESTION if task == "questions" else "one"
    post = server(task).post
    right = post("/", {"inputs": inputs})
    assert right.status == 200
    for body in ({"inputs": inputs, "parameters": {name: other}}, {"inputs": inputs, name: other}):
        refused = post("/", body)
        assert (refused.status, refused.content["field"]) == (422, name)
    for value in (usual, None):
        assert post("/", {"inputs": inputs, "parameters": {name: value}}).content == right.content


def test_what_the_model_reads_otherwise(models):
    # Its own tokenizer truncates on the other side.
    served = load(models("classes").path)
    served.tokenizer.truncation_side = "left"
    vars(served)["reader"] = served.tokenizer
    with running(served) as server:
        body = {"inputs": "a b", "truncate": True, "truncation_direction": "left"}
        assert server.post("/predict", body).status == 200
        assert server.post("/predict", body | {"truncation_direction": "right"}).status == 422


def test_the_open_inference_protocol(server):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["one"]}
    body = {"inputs": [tensor], "parameters": {"truncation_direction": "left"}}
    refused = server("classes").post("/v2/models/tiny/infer", body)
    assert (refused.status, refused.content["field"]) == (422, "truncation_direction")


@pytest.mark.parametrize("name", ["truncate", "truncation"])
def test_vectors_of_long_texts_are_truncated_by_either_name(server, name):
    body = {"inputs": "a " * 60}
    assert server("embedding").post("/", body | {"parameters": {name: False}}).status == 413
    assert server("embedding").post("/", body | {"parameters": {name: True}}).status == 200


@pytest.mark.parametrize(
    ("task", "known", "followed"),
    [
        ("classes", text_classification.TextClassificationParameters, {"function_to_apply", "top_k"}),
        ("words", token_classification.TokenClassificationParameters, {"ignore_labels"}),
        ("questions", question_answering.QuestionAnsweringParameters, set()),
        (
            "embedding",
            feature_extraction.FeatureExtractionInput,
            {"inputs", "normalize", "prompt_name", "truncate"},
        ),
    ],
)
def test_each_parameter_of_the_client_is_followed_or_refused(server, task, known, followed):
    fields = of_pipeline(server(task).service.front)
    assert set(known.__dataclass_fields__) - followed <= set(fields)
    check_supported({"extra": 1, **dict.fromkeys(fields)}, fields)
