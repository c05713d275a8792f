import pytest
import transformers

from prensa.checkpoint.kinds import SharedLabel, Task
from prensa.checkpoint.task import judged_task_of, pipeline_tag, task_of
from prensa.errors import ModelError


def config(name, **settings):
    return getattr(transformers, name).config_class(architectures=[name], **settings)


@pytest.mark.parametrize(
    ("name", "settings", "tag", "task"),
    [
        ("BertForSequenceClassification", {"num_labels": 2}, "text-classification", "classes"),
        ("BertForSequenceClassification", {"num_labels": 1}, "text-classification", "regression"),
        (
            "DebertaV2ForSequenceClassification",
            {"problem_type": "multi_label_classification"},
            "text-classification",
            "multi-label",
        ),
        ("BertForTokenClassification", {}, "token-classification", "tokens"),
        ("BertForMaskedLM", {}, "fill-mask", "masked"),
        ("GPT2LMHeadModel", {}, "text-generation", "causal"),
        ("LlamaForCausalLM", {}, "text-generation", "causal"),
        ("BertModel", {}, "feature-extraction", "embedding"),
    ],
)
def test_tasks_follow_from_the_class(name, settings, tag, task):
    found = task_of(config(name, **settings))
    assert pipeline_tag(config(name, **settings)) == tag
    assert found.kind == task
    assert bool(found.labels) == (task in {"classes", "multi-label", "tokens"})


def test_labels_are_in_the_order_of_their_ids():
    settings = {"id2label": {2: "c", 0: "a", 1: "b"}}
    assert task_of(config("BertForSequenceClassification", **settings)) == Task("classes", ("a", "b", "c"))


def test_an_output_without_a_name_is_refused():
    with pytest.raises(ModelError, match="`id2label` in config.json has 0, 2, expected 0 to 1"):
        task_of(config("BertForSequenceClassification", id2label={0: "clean", 2: "toxic"}))


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("T5ForConditionalGeneration", "text2text-generation"),
        ("ViTForImageClassification", "image-classification"),
        ("BertForQuestionAnswering", "question-answering"),
        ("BertForNextSentencePrediction", ""),
        ("T5Model", "feature-extraction"),
    ],
)
def test_what_cannot_be_compared(name, tag):
    assert task_of(config(name)) is None
    assert pipeline_tag(config(name)) == tag


def test_what_is_compared_and_not_served():
    for name, kind in (
        ("BertForQuestionAnswering", "questions"),
        ("T5ForConditionalGeneration", "writing"),
        ("BartForConditionalGeneration", "writing"),
        ("MarianMTModel", "writing"),
        ("BertForMaskedLM", "masked"),
    ):
        assert judged_task_of(config(name)) == Task(kind)
    for name in ("ViTForImageClassification", "T5Model", "BertForMultipleChoice"):
        assert judged_task_of(config(name)) is None


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("a", "b"), ("a", "b")),
        (("other", "other", "rude"), ("other", "other_1", "rude")),
        (("x", "x", "x_1", "x"), ("x", "x_2", "x_1", "x_3")),
        (("x_1", "x", "x"), ("x_1", "x", "x_2")),
    ],
)
def test_labels_of_one_name_are_told_apart(names, labels):
    config = transformers.BertConfig(
        architectures=["BertForSequenceClassification"], id2label=dict(enumerate(names))
    )
    assert task_of(config).labels == labels
    shared = {label.shared for label in task_of(config).labels if isinstance(label, SharedLabel)}
    assert shared == {name for name in names if names.count(name) > 1}
