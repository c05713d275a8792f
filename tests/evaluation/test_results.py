import dataclasses
import json
from pathlib import Path

import pytest
from tests.sample import EVALUATION, QUALITY

from prensa.errors import FormatError, OutputError
from prensa.evaluation.figures import Drop, Figure, Guessing, Quality, Recall
from prensa.evaluation.results_file import check_results_place, load_results

FEW = (Figure("same answer", 0.58, is_share=True, interval=(0.5, 0.66)),)
GOLDEN = Path(__file__).parents[1] / "golden" / "results.json"


def test_there_and_back(tmp_path):
    EVALUATION.save(tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == load_results(tmp_path) == EVALUATION
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_an_earlier_version_wrote_can_be_read():
    """The file is never made anew: a change of the form raises RESULTS_VERSION and adds another."""
    assert load_results(GOLDEN) == EVALUATION


def test_what_judging_adds_goes_there_and_back(tmp_path):
    quality = dataclasses.replace(QUALITY, figures=FEW, alike="one-sided", guessing=Guessing(0.2, 0.21))
    evaluation, _ = with_quality(quality)
    evaluation.save(tmp_path / "results.json")
    assert load_results(tmp_path) == evaluation


def test_terms_go_there_and_back(tmp_path):
    recalls = (Recall("toxic", 0.9, (0.8, 1.0)), Recall("rare", None))
    evaluation, result = with_quality(dataclasses.replace(QUALITY, recalls=recalls))
    settings = dataclasses.replace(
        evaluation.settings, metric="f1:toxic", min_recall={"toxic": 0.5}, label_threshold={"toxic": 0.7}
    )
    evaluation = dataclasses.replace(evaluation, settings=settings)
    evaluation.save(tmp_path / "results.json")
    again = load_results(tmp_path)
    assert again == evaluation
    assert again.budget(result) == "doubtful"  # of both budgets the worse one
    settings = dataclasses.replace(settings, min_recall={"toxic": 0.95})
    assert dataclasses.replace(again, settings=settings).budget(result) == "undecided"


def with_quality(quality):
    result = dataclasses.replace(EVALUATION.results[0], quality=quality)
    return dataclasses.replace(EVALUATION, results=(result,)), result


@pytest.mark.parametrize(
    ("quality", "allowed", "budget"),
    [
        (QUALITY, None, "none"),
        (QUALITY, 0.008, "held"),
        (QUALITY, 0.0045, "doubtful"),
        (QUALITY, 0.004, "undecided"),
        (Quality(drop=Drop("accuracy", 0.91 - 0.90, (0, 0.01))), 0.01, "held"),
        (Quality(drop=Drop("accuracy", 0.001, None)), 0.01, "doubtful"),
        (QUALITY, 0.0029, "undecided"),
        (QUALITY, 0.0, "exceeded"),
        (dataclasses.replace(QUALITY, drop=Drop("accuracy", 0.03, (0.02, 0.04))), 0.01, "exceeded"),
        (dataclasses.replace(QUALITY, drop=Drop("accuracy", -0.1, (-0.2, 0.0))), 0.0, "held"),
        (dataclasses.replace(QUALITY, figures=FEW), 0.01, "doubtful"),
        (dataclasses.replace(QUALITY, alike="constant"), 1.0, "unknown"),
        (dataclasses.replace(QUALITY, alike="one-sided"), 0.01, "held"),
        (Quality(broken=3, alike="constant"), 1.0, "exceeded"),
        (Quality(broken=3), 1.0, "exceeded"),
        (Quality(), 0.01, "unknown"),
        (None, 0.01, "unknown"),
    ],
)
def test_the_budget(quality, allowed, budget):
    evaluation, result = with_quality(quality)
    settings = dataclasses.replace(evaluation.settings, max_drop=allowed)
    evaluation = dataclasses.replace(evaluation, settings=settings)
    assert evaluation.budget(result) == budget
    assert evaluation.within_budget == (budget in {"none", "held", "doubtful"})


def test_sizes_tell_weights_that_are_read_from_those_that_are_not():
    result = EVALUATION.results[0]
    assert (result.weight_bytes, result.total_bytes) == (18_970_000, 2 * 18_970_000 + 700_000)
    assert result.load_seconds == 0.13
    assert dataclasses.replace(result, memory=None).load_seconds is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "not readable as JSON"),
        ("[]", "not the results of an evaluation"),
        ('{"accuracy": 1}', "not the results of an evaluation"),
        ('{"version": 9, "prensa_version": "3", "settings": {}}', "expected version 1, found 9"),
        ('{"version": 1, "prensa_version": "3", "settings": {}}', "damaged"),
    ],
)
def test_damaged_results(tmp_path, content, message):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FormatError, match=message) as refused:
        load_results(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_wrong_value_is_named(tmp_path):
    content = json.loads(EVALUATION.to_json())
    content["data"]["texts"] = "many"
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"damaged \(.*texts"):
        load_results(tmp_path)


def test_only_results_are_replaced(tmp_path):
    path = tmp_path / "results.json"
    check_results_place(path)
    EVALUATION.save(path)
    check_results_place(path)
    for content in ("{}", "not json", '{"version": 1}'):
        path.write_text(content)
        with pytest.raises(OutputError, match="would be replaced, and no evaluation wrote it"):
            check_results_place(path)
