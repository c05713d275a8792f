import torch
from safetensors.torch import load_file

from prensa.example import example_comments, restore_example


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
    _, result = demonstration
    assert result.labels == ["non-toxic", "toxic"]
    assert result.accuracy(result.original) > 0.9
    for preset, manifest in result.manifests.items():
        assert manifest.nbytes < 0.43 * manifest.nbytes_before
        assert (result.pressed[preset] - result.original).abs().max() < 0.2
        assert result.accuracy(result.pressed[preset]) > 0.9
