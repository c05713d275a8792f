import numpy as np
import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError, SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.terms import terms_of
from prensa.texts.columns import Texts

TOXIC = Task("classes", ("non-toxic", "toxic", "rare"))
PEOPLE = Task("tokens", ("O", "B-PERSON", "I-PERSON", "B-PLACE", "I-PLACE"))
ENDS = Task("tokens", ("O", "B-PERSON", "I-PERSON", "E-PERSON", "S-PERSON"))


def texts(*labels):
    return Texts("d.csv", tuple(f"text {n}" for n in range(len(labels))), labels=list(map(np.array, labels)))


CLASSES = texts(0, 1, 1)
WITHOUT = Texts("d.csv", ("a", "b"))


def test_what_a_budget_names():
    budget = Budget(0.01, metric="pr_auc:Toxic", min_recall="toxic=90%", label_threshold={"toxic": 0.7})
    terms = terms_of(budget, TOXIC, CLASSES)
    assert terms.metric == "PR-AUC: toxic"
    assert terms.recalls == {"toxic": "recall: toxic"}
    assert terms.thresholds == {1: 0.7}
    usual = terms_of(Budget(0.01), TOXIC, WITHOUT)
    assert (usual.metric, usual.recalls, usual.thresholds) == ("", {}, {})


@pytest.mark.parametrize(
    ("budget", "task", "given", "message"),
    [
        (
            {"metric": "recall:rare"},
            TOXIC,
            CLASSES,
            "none of these 3 texts has the label rare, so that recall",
        ),
        (
            {"min_recall": "rare=99%"},
            TOXIC,
            CLASSES,
            "has the label rare, so that recall of rare (`min_recall`",
        ),
        ({"metric": "macro_f1"}, TOXIC, WITHOUT, "macro F1 (`metric`) needs right answers"),
        ({"min_recall": "toxic=99%"}, TOXIC, WITHOUT, "recall of toxic (`min_recall`) needs right answers"),
        ({"metric": "roc_auc"}, TOXIC, texts(1, 1), "all texts have the same right answer"),
        ({"metric": "recall:PLACE"}, PEOPLE, texts([1, 2], [0]), "has an entity of type PLACE"),
        ({"metric": "entity_f1"}, PEOPLE, texts([0, 0], [0]), "none of these 2 texts has an entity, so that"),
        (
            {"metric": "entity_f1"},
            ENDS,
            texts([1, 2], [4]),
            "1 of 2 texts with entities have right labels of",
        ),
        ({"metric": "pearson"}, Task("regression"), texts(1.0, 1.0), "all right answers are 1; Pearson"),
    ],
)
def test_what_the_texts_cannot_give(budget, task, given, message):
    with pytest.raises(DataError) as refused:
        terms_of(Budget(0.01, **budget), task, given)
    assert message in str(refused.value)


def test_rouge_reads_latin_letters():
    some = Texts("d.csv", ("a", "b"), labels=[np.array(["東京"]), np.array(["大阪", "Osaka"])])
    terms_of(Budget(metric="rouge_l"), Task("writing"), some)
    with pytest.raises(DataError, match="no right answer has a Latin letter or a digit, and ROUGE-L"):
        terms_of(Budget(metric="rouge_l"), Task("writing"), some.take([0]))
    terms_of(Budget(metric="chrf"), Task("writing"), some.take([0]))


def test_texts_that_can():
    several = Task("multi-label", ("a", "b"))
    terms_of(Budget(metric="recall:b"), several, texts([0, 0], [0, 1]))
    with pytest.raises(DataError, match="has the label a"):
        terms_of(Budget(metric="recall:a"), several, texts([0, 0], [0, 1]))
    terms_of(Budget(metric="roc_auc"), several, texts([0, 0], [0, 1]))
    terms_of(Budget(metric="recall:PERSON"), PEOPLE, texts([0, -100], [-100, 2]))
    terms_of(Budget(metric="entity_f1"), ENDS, texts([1, 3], [4]))
    terms_of(Budget(metric="roc_auc"), Task("tokens", ("A", "B")), texts([0, 1], [1, 0]))
    terms_of(Budget(metric="cosine"), Task("embedding"), WITHOUT)


def test_neighbours_need_others_beside_them():
    enough = Texts("d.csv", tuple(map(str, range(12))))
    assert terms_of(Budget(0.01, metric="neighbours@3"), Task("embedding"), enough).metric == "neighbours@3"
    with pytest.raises(DataError, match="neighbours@4 .* needs 16 texts or more, found 12"):
        terms_of(Budget(0.01, metric="neighbours@4"), Task("embedding"), enough)


def test_thresholds_are_for_classifiers_of_texts():
    with pytest.raises(SettingError, match="`label_threshold` works for classifiers of texts"):
        terms_of(Budget(0.01, label_threshold="PERSON=0.7"), PEOPLE, texts([1]))
    with pytest.raises(SettingError, match="`label_threshold` toxc: no such label; the nearest: toxic"):
        terms_of(Budget(0.01, label_threshold="toxc=0.7"), TOXIC, CLASSES)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_recall": "toxic=99%,Toxic=50%"},
        {"label_threshold": {"toxic": 0.7, "Toxic": 0.1}, "max_drop": 0.01},
    ],
)
def test_a_label_is_named_once(settings):
    with pytest.raises(SettingError, match="toxic and Toxic are the same label; name it once"):
        terms_of(Budget(**settings), TOXIC, CLASSES)


def test_labels_whose_thresholds_are_chosen():
    given = texts(*([0, 1, 2] * 20))
    for option, chosen in (
        ("toxic=auto", (1,)),
        ("AUTO", (0, 1, 2)),
        ({"Rare": "auto", "toxic": 0.7}, (2,)),
        ("auto,toxic=0.7", (0, 2)),
        ("auto,toxic=auto", (0, 1, 2)),
    ):
        assert terms_of(Budget(0.01, label_threshold=option), TOXIC, given).to_choose == chosen
    assert terms_of(Budget(0.01, label_threshold="auto,toxic=0.7"), TOXIC, given).thresholds == {1: 0.7}
    with pytest.raises(SettingError, match="Toxic and toxic are the same label"):
        terms_of(Budget(label_threshold="toxic=auto,Toxic=0.7"), TOXIC, given)
    with pytest.raises(SettingError, match="works for classifiers of texts"):
        terms_of(Budget(label_threshold="auto"), PEOPLE, texts(*([[1]] * 60)))
    with pytest.raises(DataError, match="3 texts are too few to choose thresholds"):
        terms_of(Budget(label_threshold="toxic=auto"), TOXIC, CLASSES)
    for twice in ("toxic=auto,toxic=0.5", "auto,auto", "toxic=auto,toxic=auto"):
        with pytest.raises(SettingError, match="is named twice"):
            Budget(label_threshold=twice)


@pytest.mark.parametrize("kind", ["regression", "embedding", "causal", "masked"])
def test_answers_that_are_no_choice_are_never_the_same(kind):
    with pytest.raises(SettingError, match="`min_agreement` is the share of the same answers"):
        terms_of(Budget(min_agreement=0.99), Task(kind), WITHOUT)
