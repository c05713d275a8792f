import torch
from safetensors.torch import load_file

from prensa.example import example_comments, restore_example
from prensa.pressing.recipe import preset_names


def test_enough_comments_of_both_kinds():
    labels = [comment.label for comment in example_comments()]
    assert len(labels) >= 60
    assert set(labels) == {"toxic", "non-toxic"}
    assert 0.4 < labels.count("toxic") / len(labels) < 0.6
    assert len({comment.text for comment in example_comments()}) == len(labels)


def test_the_example_is_restored_in_float32(tmp_path):
    restore_example(tmp_path / "model")
    assert {tensor.dtype for tensor in load_file(tmp_path / "model" / "model.safetensors").values()} == {
        torch.float32
    }


def test_every_preset_works_on_the_example(demonstration):
    place, found = demonstration
    evaluation = found.evaluation
    assert [result.name for result in evaluation.results] == preset_names()
    for result in evaluation.results:
        assert result.weight_bytes < 0.43 * evaluation.original.weight_bytes
        assert result.quality.agreement.value > 0.9
        assert result.timings
    assert found.report == place / "report.html"
    assert found.report.is_file()


def test_the_table_of_the_demonstration(demonstration):
    _, found = demonstration
    original, *presets = found.rows()
    assert (original[0], original[2]) == ("(original)", "100.0 %")
    assert len(presets) == len(preset_names())
    for name, _, share, right, same, speed in presets:
        assert name in preset_names()
        assert float(share.removesuffix(" %")) < 43
        assert float(right.removesuffix(" %")) > 90
        assert float(same.removesuffix(" %")) > 90
        assert speed.endswith("×")


def test_six_comments_are_answered_by_the_original_and_the_smallest(demonstration):
    _, found = demonstration
    assert found.smallest == "small"
    assert len(found.comments) == 6
    for comment in found.comments:
        assert comment.original.split()[0] == comment.compressed.split()[0]
