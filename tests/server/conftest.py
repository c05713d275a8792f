"""Tiny models of each task, each behind a server that all tests of a module share."""

import pytest
from tests.bert import around, bert, pooling
from tests.server.running import load, running

NAMES = ("contradiction", "neutral", "entailment")
SETTINGS = {
    "classes": {"head": "BertForSequenceClassification", "labels": NAMES},
    "multi-label": {
        "head": "BertForSequenceClassification",
        "labels": ("rude", "toxic"),
        "problem_type": "multi_label_classification",
    },
    "reranker": {"head": "BertForSequenceClassification", "labels": ("LABEL_0",)},
    "number": {
        "head": "BertForSequenceClassification",
        "labels": ("grade",),
        "problem_type": "regression",
    },
    "embedding": {"head": "BertModel"},
    "words": {"head": "BertForTokenClassification", "labels": ("O", "B-PER", "I-PER")},
    "questions": {"head": "BertForQuestionAnswering"},
}


def build(place, task):
    settings = dict(SETTINGS[task])
    names = settings.pop("labels", None)
    if names is not None:
        settings["id2label"] = dict(enumerate(names))
        settings["label2id"] = {name: index for index, name in enumerate(names)}
    path = bert(place / task, **settings)
    if task == "embedding":
        around(path, pooling(), settings={"prompts": {"query": "q: "}})
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Load the model of a task, once."""
    place = tmp_path_factory.mktemp("server")
    loaded = {}

    def model(task):
        if task not in loaded:
            loaded[task] = load(build(place, task))
        return loaded[task]

    return model


@pytest.fixture(scope="module")
def server(models):
    """Run a server for a task, once a module."""
    contexts = {}

    def server(task):
        if task not in contexts:
            context = running(models(task))
            contexts[task] = (context, context.__enter__())
        return contexts[task][1]

    yield server
    for context, _ in contexts.values():
        context.__exit__(None, None, None)
