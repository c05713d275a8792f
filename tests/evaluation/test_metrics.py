import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import SettingError
from prensa.evaluation.metrics import metric_named, recall_named, spellings

TOXIC = Task("classes", ("non-toxic", "toxic"))
PEOPLE = Task("tokens", ("O", "B-PERSON", "I-PERSON", "B-PLACE", "I-PLACE"))
WORDS = Task("tokens", ("NOUN", "VERB"))
NUMBER = Task("regression")
QUESTIONS = Task("questions")
WRITING = Task("writing")


@pytest.mark.parametrize(
    ("word", "task", "metric"),
    [
        ("accuracy", TOXIC, "accuracy"),
        ("Macro-F1", TOXIC, "macro F1"),
        ("ROC-AUC", TOXIC, "ROC-AUC"),
        ("recall:toxic", TOXIC, "recall: toxic"),
        ("Recall: Toxic", TOXIC, "recall: toxic"),
        ("pr-auc:non_toxic", TOXIC, "PR-AUC: non-toxic"),
        ("average_precision:toxic", TOXIC, "PR-AUC: toxic"),
        ("entity_f1", PEOPLE, "entity F1"),
        ("recall", PEOPLE, "entity recall"),
        ("recall:PERSON", PEOPLE, "entity recall: PERSON"),
        ("entity_precision:person", PEOPLE, "entity precision: PERSON"),
        ("f1:B-PERSON", PEOPLE, "F1: B-PERSON"),
        ("recall:noun", WORDS, "recall: NOUN"),
        ("spearman", NUMBER, "Spearman correlation"),
        ("Pearson correlation", NUMBER, "Pearson correlation"),
        ("bits_per_byte", Task("causal"), "bits per byte"),
        ("Bits per byte", Task("masked"), "bits per byte"),
        ("Exact-Match", QUESTIONS, "exact match"),
        ("em", QUESTIONS, "exact match"),
        ("F1", QUESTIONS, "answer F1"),
        ("answer F1", QUESTIONS, "answer F1"),
        ("rougeL", WRITING, "ROUGE-L"),
        ("ROUGE-L", WRITING, "ROUGE-L"),
        ("chrF", WRITING, "chrF"),
        ("BLEU", WRITING, "BLEU"),
        ("exact_match", WRITING, "exact match"),
        ("cosine", Task("embedding"), "1 − cosine"),
        ("neighbours@10", Task("embedding"), "neighbours@10"),
        ("Nearest neighbors", Task("embedding"), "neighbours@10"),
        ("neighbours_3", Task("embedding"), "neighbours@3"),
    ],
)
def test_names(word, task, metric):
    assert metric_named(word, task) == metric


@pytest.mark.parametrize(
    ("word", "task", "message"),
    [
        ("acuracy", TOXIC, "`metric` acuracy: no metric of this model; the nearest: accuracy"),
        ("recal:toxic", TOXIC, "the nearest: recall:toxic"),
        ("recall", TOXIC, "the nearest: recall:toxic"),
        ("recall:toxik", TOXIC, "`metric` toxik: no such label; the nearest: toxic"),
        ("recall:", TOXIC, "`metric` recall:: no metric of this model; the nearest: recall:toxic"),
        ("spearman", TOXIC, "expected one of accuracy, macro_f1, roc_auc, recall:non-toxic"),
        ("recall:PERSN", PEOPLE, "`metric` PERSN: no such label; the nearest: PERSON"),
        ("pr_auc:PERSON", PEOPLE, "entities are not ranked"),
        ("entity_f1", WORDS, "the model marks no entities: its labels do not begin with B- or I-"),
        ("entity_f1:NOUN", WORDS, "the model marks no entities"),
        ("pr_auc:NOUN", WORDS, "works for classifiers of texts"),
        ("accuracy", NUMBER, "expected one of spearman, pearson"),
        ("f1:toxic", QUESTIONS, "expected one of exact_match, f1"),
        ("f1", WRITING, "expected one of chrf, rouge_l, bleu, exact_match"),
        ("neighbours@0", Task("embedding"), "the nearest: neighbours@10"),
        ("neighbours@-3", Task("embedding"), "the nearest: neighbours@10"),
        ("neighbours@1001", Task("embedding"), "the nearest: neighbours@10"),
        ("neighbours@10", TOXIC, "no metric of this model"),
        ("rouge_l", Task("causal"), "expected one of bits_per_byte"),
        ("entity_f1", Task("tokens", ("O", "B-A", "E-A", "L-A")), "its labels mix two schemes"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(word, task, message):
    with pytest.raises(SettingError) as refused:
        metric_named(word, task)
    assert message in str(refused.value)


def test_labels_that_have_to_be_found():
    assert recall_named("PERSON", PEOPLE) == "entity recall: PERSON"
    assert recall_named("Toxic", TOXIC) == "recall: toxic"
    assert recall_named("VERB", WORDS) == "recall: VERB"
    with pytest.raises(SettingError, match="`min_recall` toxik: no such label; the nearest: toxic"):
        recall_named("toxik", TOXIC)
    with pytest.raises(SettingError, match="this model has no labels"):
        recall_named("toxic", NUMBER)


@pytest.mark.parametrize("task", [TOXIC, PEOPLE, WORDS, NUMBER, Task("masked"), Task("embedding")])
def test_every_spelling_is_understood(task):
    assert all(metric_named(name, task) for name in spellings(task))
