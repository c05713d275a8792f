import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from prensa.checkpoint.kinds import Task
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.quality import SHOWN, Outputs, compare
from prensa.evaluation.terms import Terms
from prensa.texts.columns import Texts
from prensa.texts.labels import IGNORED

LABELS = ("no", "yes")


DRAWS = Draws(50)


def texts(count, labels=None, words=None):
    return Texts("t", tuple(f"text {i}" for i in range(count)), labels=labels, words=words)


def outputs(kind, original, result, labels=None, *, words=None, places=()):
    task = Task(kind, LABELS if kind in {"classes", "multi-label", "tokens"} else ())
    return Outputs(task, texts(len(original), labels, words), places, original, result)


def logits(rng, count):
    return list(rng.normal(size=(count, 2)).astype(np.float32))


def test_classes_with_and_without_labels():
    rng = np.random.default_rng(0)
    original = logits(rng, 60)
    result = [row + rng.normal(scale=0.5, size=2).astype(np.float32) for row in original]
    labels = [np.array(i % 2) for i in range(60)]
    labelled = compare(outputs("classes", original, result, labels), DRAWS)
    assert labelled.drop.of == "accuracy"
    assert labelled.drop.value == -labelled.metrics[0].difference
    assert labelled.drop.interval[0] <= labelled.drop.value <= labelled.drop.interval[1]
    assert sum(each.count for each in labelled.reliability) == 60
    assert labelled.mcnemar is not None
    without = compare(outputs("classes", original, result), DRAWS)
    assert without.metrics == without.reliability == ()
    assert without.drop.of == "changed answers"
    assert without.drop.value == pytest.approx(1 - without.figures[0].value)
    assert without.figures == labelled.figures


def test_disagreements_are_the_largest_and_say_what_each_model_says():
    original = [np.array([2.0, 0.0])] * 30
    result = [np.array([2.0, 0.1 * i]) for i in range(30)]
    quality = compare(outputs("classes", original, result, [np.array(0)] * 30), DRAWS)
    assert len(quality.disagreements) == SHOWN
    first = quality.disagreements[0]
    assert first.text == "text 29"
    assert (first.label, first.original, first.result) == ("no", "no 88.1 %", "yes 71.1 %")
    amounts = [each.amount for each in quality.disagreements]
    assert amounts == sorted(amounts, reverse=True)
    assert not compare(outputs("classes", original, original), DRAWS).disagreements


def test_long_texts_are_cut():
    long = Outputs(Task("regression"), Texts("t", ("x" * 9000,)), (), [np.ones(1)], [np.zeros(1)])
    assert len(compare(long, DRAWS).disagreements[0].text) < 2100


def test_several_labels():
    rng = np.random.default_rng(0)
    original, result = logits(rng, 40), logits(rng, 40)
    labels = list(rng.integers(0, 2, (40, 2)))
    quality = compare(outputs("multi-label", original, result, labels), DRAWS)
    assert quality.drop.of == "macro F1"
    assert quality.mcnemar is None
    assert sum(each.count for each in quality.reliability) == 80
    none = compare(outputs("multi-label", [np.array([-3.0, -4.0])], [np.array([3.0, 4.0])]), DRAWS)
    assert none.disagreements[0].original == "none, 4.7 %"
    assert none.disagreements[0].result == "no 95.3 %, yes 98.2 %"


def test_words():
    rng = np.random.default_rng(0)
    counts = [3, 0, 2, 1]
    original = [rng.normal(size=(count, 2)) for count in counts]
    result = [rng.normal(size=(count, 2)) for count in counts]
    places = [[1, 2, IGNORED, 3], [], [1, 2], [1]]  # the third word of the first text has no pieces
    words = (("a", "b", "c", "d"), (), ("e", "f"), ("g", "cut"))
    labels = [np.array(own) for own in ([0, 1, 1, 0], [], [1, IGNORED], [0, 1])]
    quality = compare(outputs("tokens", original, result, labels, words=words, places=places), DRAWS)
    assert quality.drop.of == "macro F1"
    right = [np.argmax(row) for row in np.concatenate(result)[[0, 1, 2, 3, 5]]] == np.array([0, 1, 0, 1, 0])
    assert quality.metrics[0].result == right.mean()
    shown = {each.text: each for each in quality.disagreements}
    assert set(shown) == {"text 0", "text 2", "text 3"}
    assert shown["text 3"].label == "g: no"
    assert shown["text 3"].original.startswith("g: ")
    without = compare(outputs("tokens", original, result, words=words, places=places), DRAWS)
    assert without.drop.of == "changed answers"
    assert quality.mcnemar is None


MARKS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def marked(original, result, labels, terms=None):
    """Words of texts with entities: each argument has the number of a label for each word of each text."""
    sure = np.eye(5) * 4
    words = tuple(tuple("abcdef"[: len(own)]) for own in original)
    given = ([sure[own] for own in original], [sure[own] for own in result])
    places = [list(range(1, len(own) + 1)) for own in original]
    some = Texts("t", tuple(" ".join(own) for own in words), labels=list(map(np.array, labels)), words=words)
    return Outputs(Task("tokens", MARKS), some, places, *given, terms or Terms())


def test_entities():
    truth = [[1, 2, 0, 3], [1, 0], [0, 0, 0]]
    result = [[1, 0, 0, 3], [1, 0], [0, 0, 1]]  # one that ends too soon, and one that is none
    terms = Terms("entity recall: PER", {"per": "entity recall: PER"})
    for given, metric in ((Terms(), "entity F1"), (terms, "entity recall: PER")):
        quality = compare(marked(truth, result, truth, given), DRAWS)
        assert quality.drop.of == metric
    by_name = {each.name: each for each in quality.metrics}
    assert by_name["entity F1"].original == 1
    assert by_name["entity F1"].result == 2 * 2 / (3 + 4)
    assert by_name["entity precision"].result == 2 / 4
    assert by_name["entity recall: PER"].result == quality.recalls[0].value == quality.drop.value == 0.5
    assert by_name["entity recall: LOC"].interval[1] > 0.9  # of one text
    assert "F1: B-PER" in by_name
    assert "recall: B-PER" not in by_name
    assert quality.recalls[0].label == "per"
    assert quality.recalls[0].interval[0] < 0.5 <= quality.recalls[0].interval[1]


def test_entities_that_changed_are_shown():
    truth = [[1, 2, 0, 3], [1, 0], [0, 0, 0]]
    quality = compare(marked(truth, [[1, 0, 0, 3], [1, 0], [0, 3, 4]], truth), DRAWS)
    assert quality.disagreement == "entities that changed"
    first, second = quality.disagreements
    assert (first.label, first.original, first.result, first.amount) == ("PER a b", "PER a b", "PER a", 2)
    assert (second.label, second.original, second.result, second.amount) == ("none", "none", "LOC b c", 1)
    assert not compare(marked(truth, truth, truth), DRAWS).disagreements


def test_words_without_a_label_are_left_out_of_entities():
    truth = [[1, IGNORED, 2, 0], [IGNORED, 3]]
    quality = compare(marked([[1, 0, 2, 0], [1, 3]], [[1, 0, 2, 0], [1, 3]], truth), DRAWS)
    assert quality.metrics[0].name == "entity F1"
    assert quality.metrics[0].original == quality.metrics[0].result == 1
    assert quality.drop.value == 0
    assert quality.drop.interval[1] > 0.5  # two texts prove little


def test_texts_without_any_entity():
    quality = compare(marked([[0, 0]], [[0, 0]], [[0, 0]]), DRAWS)
    assert quality.drop is None
    assert quality.metrics[0].note == "no text has such an entity, and no model gives one"


def test_a_chosen_metric_of_texts():
    rng = np.random.default_rng(0)
    original, result = logits(rng, 40), logits(rng, 40)
    labels = [np.array(i % 2) for i in range(40)]
    terms = Terms("PR-AUC: yes", {"Yes": "recall: yes"}, {1: 0.6})
    given = dataclasses.replace(outputs("classes", original, result, labels), terms=terms)
    quality = compare(given, DRAWS)
    by_name = {each.name: each for each in quality.metrics}
    assert quality.drop.of == "PR-AUC: yes"
    assert quality.drop.value == -by_name["PR-AUC: yes"].difference
    assert quality.recalls[0].value == by_name["recall: yes"].result
    usual = compare(outputs("classes", original, result, labels), DRAWS)
    assert by_name["recall: yes"].result < {each.name: each for each in usual.metrics}["recall: yes"].result
    assert quality.is_of_a_score
    numbers = dataclasses.replace(
        outputs("regression", [row[:1] for row in original], [row[:1] for row in result], labels),
        terms=Terms("Pearson correlation"),
    )
    assert compare(numbers, DRAWS).drop.of == "Pearson correlation"


def test_words_where_there_is_nothing_to_compare():
    empty = [np.zeros((0, 2))] * 2
    nothing = compare(outputs("tokens", empty, empty, words=((), ()), places=[[], []]), DRAWS)
    assert (nothing.drop, nothing.figures) == (None, ())
    some = [np.ones((1, 2))] * 2
    ignored = outputs("tokens", some, some, [np.array([IGNORED])] * 2, words=(("a",),) * 2, places=[[1]] * 2)
    assert compare(ignored, DRAWS).drop.of == "changed answers"


def test_numbers():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50)
    original = [np.array([value + 0.1]) for value in truth]
    result = [np.array([value + rng.normal()]) for value in truth]
    quality = compare(outputs("regression", original, result, list(truth)), DRAWS)
    spearman, _, r2, error = quality.metrics
    assert quality.drop.value == -spearman.difference > 0
    assert spearman.result == spearmanr(truth, np.concatenate(result)).statistic
    assert math.isclose(error.original, 0.1)
    assert not error.higher_is_better
    assert r2.original > r2.result
    without = compare(outputs("regression", original, result), DRAWS)
    assert without.drop.of == "rank correlation with the original"
    interrupted = compare(outputs("regression", original, result, list(truth)), Draws(0))
    assert interrupted.drop.interval is None
    assert interrupted.drop.value == quality.drop.value
    constant = compare(outputs("regression", original, result, [np.array(1.0)] * 50), DRAWS)
    assert constant.drop is constant.metrics[0].result is None
    assert constant.metrics[0].note == "needs numbers that differ"
    assert constant.metrics[3].result is not None


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_language_models(kind):
    original = [np.array([8.0, 4, 20, 0, 0, 4, 0])] * 3 + [np.zeros(7)]
    result = [np.array([9.0, 4, 20, 0.4, 0.2, 3, 0.1])] * 3 + [np.zeros(7)]
    quality = compare(outputs(kind, original, result), DRAWS)
    perplexity, bits = quality.metrics
    assert math.isclose(perplexity.original, math.exp(2))
    assert math.isclose(bits.original, 0.4 / math.log(2))
    assert math.isclose(quality.drop.value, 1 / 8)
    assert [figure.value for figure in quality.figures] == pytest.approx([0.75, 0.1, 0.2, 0.1])
    assert [each.text for each in quality.disagreements] == ["text 0", "text 1", "text 2"]


def test_language_models_with_nothing_to_foresee():
    quality = compare(outputs("causal", [np.zeros(7)] * 2, [np.zeros(7)] * 2), DRAWS)
    assert quality.drop is None
    assert [metric.result for metric in quality.metrics] == [None, None]
    hopeless = compare(outputs("causal", [np.ones(7)], [np.array([1e6, 1, 1, 1, 1, 0, 1])]), DRAWS)
    assert hopeless.metrics[0].result is None
    assert hopeless.drop.value > 1000


def test_vectors():
    original = list(np.eye(4)[:3] + 0.1)
    quality = compare(outputs("embedding", original, [2 * row for row in original]), DRAWS)
    assert quality.drop.value == pytest.approx(0, abs=1e-12)
    assert not quality.disagreements
    assert quality.figures[2].value == 1
    turned = [original[1], *original[1:]]
    quality = compare(outputs("embedding", original, turned), DRAWS)
    assert quality.figures[1].value < 0.5
    assert [each.text for each in quality.disagreements] == ["text 0"]


@pytest.mark.parametrize("kind", ["classes", "causal", "embedding", "regression"])
def test_a_result_that_gives_no_numbers(kind):
    good = [np.ones(7 if kind == "causal" else 2)] * 3
    bad = [good[0], np.full_like(good[0], np.nan), np.full_like(good[0], np.inf)]
    quality = compare(outputs(kind, good, bad), DRAWS)
    assert quality.broken == 2
    assert quality.drop is None


def test_what_chose_a_threshold_judges_nothing():
    rng = np.random.default_rng(0)
    labels = [np.array(i % 2) for i in range(80)]
    original = [np.array([0.0, 3.0 * label + rng.normal()]) for label in labels]
    # The result says the same of every text, but is surer of the second label.
    result = [row + np.array([0.0, 1.0]) for row in original]
    given = dataclasses.replace(
        outputs("classes", original, result, labels), terms=Terms("F1: yes", to_choose=(1,))
    )
    quality = compare(given, DRAWS)
    (chosen,) = quality.thresholds
    assert chosen.label == "yes"
    assert chosen.result > chosen.original
    assert (quality.judged, sum(each.count for each in quality.reliability)) == (40, 40)
    assert abs(quality.drop.value) < 0.05
    halves = halve_texts(given.texts, most=None)
    both = given.take(halves.check)
    by_hand = dataclasses.replace(
        both, terms=Terms("F1: yes"), chosen=({1: chosen.original}, {1: chosen.result})
    )
    assert compare(by_hand, DRAWS).metrics == quality.metrics
    broken = dataclasses.replace(given, result=[np.full(2, np.nan), *result[1:]])
    assert compare(broken, DRAWS).broken == 1
