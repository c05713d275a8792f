import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.conftest import build_model
from torch import nn

import prensa
from prensa.checkpoint.manifest import load_manifest
from prensa.healing.parts import SCALE_BITS, learning_parts, rounded
from prensa.healing.stored import read_stored
from prensa.runtime.torch import load

POSITIVE = st.floats(2.0**-100, 2.0**100, width=32)


@given(POSITIVE)
def test_a_rounded_scale_is_near_and_has_few_bits(value):
    scale = torch.tensor([value], dtype=torch.float32)
    near = rounded(scale)
    assert abs(near / scale - 1) <= 2.0 ** -(SCALE_BITS + 1)
    assert torch.equal(rounded(near), near)
    assert not int(near.view(torch.int32)) & ((1 << (23 - SCALE_BITS)) - 1)


def prepared(path, tmp_path, **settings):
    prensa.compress(path, tmp_path / "out", **{"preset": "int8", **settings})
    manifest = load_manifest(tmp_path / "out")
    model = load(tmp_path / "out", dtype=torch.float32).eval()
    stored = read_stored(tmp_path / "out", manifest)
    reports = {report.name: report for report in manifest.tensors}
    return model, stored, learning_parts(model, stored, reports), reports


def answers(model):
    ids = torch.arange(5, 29).view(2, 12)
    with torch.no_grad():
        return model(ids)[0]


@pytest.mark.parametrize("family", ["deberta", "bert", "gpt2", "llama"])
def test_scales_of_layers_and_all_vectors_learn(family, tmp_path):
    path = build_model(family, tmp_path / "model")
    _, stored, parts, reports = prepared(path, tmp_path)
    scaled = {part.name for part in parts if part.scale is not None}
    assert scaled == {name for name in stored.scales if reports[name].role == "linear"}
    assert scaled
    vectors = {name for name, report in reports.items() if len(report.shape) == 1}
    assert vectors <= {part.name for part in parts}
    # Embeddings are looked up, not multiplied, and a few texts meet few of their rows.
    assert not any(reports[part.name].role == "embedding" for part in parts)


def test_a_tied_table_does_not_learn_by_the_name_of_the_output_layer(tmp_path):
    """Hooks would scale what the output layer gives, and the file what is looked up as well."""
    path = build_model("gpt2", tmp_path / "model")
    weights = load_file(path / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("transformer.wte.weight")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    _, stored, parts, reports = prepared(path, tmp_path)
    assert "lm_head.weight" in stored.scales
    assert reports["lm_head.weight"].role == "embedding"
    assert "lm_head.weight" not in {part.name for part in parts}


@pytest.mark.parametrize("family", ["deberta", "gpt2"])
def test_a_model_answers_with_the_changed_scales_as_its_file_will(family, tmp_path):
    path = build_model(family, tmp_path / "model")
    model, _, parts, _ = prepared(path, tmp_path)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in parts:
            part.learns.add_(0.2 * torch.rand(part.learns.shape, generator=generator))
    expected = load(tmp_path / "out", dtype=torch.float32).eval()
    for part in parts:
        weight = dict(expected.named_parameters())[own(expected, part.name)]
        with torch.no_grad():
            if part.scale is None:
                weight.copy_(part.value())
            else:
                factors = part.value() / part.scale
                # GPT-2's layers have their outputs along the columns.
                weight.mul_(factors if family == "gpt2" else factors[:, None])
    torch.testing.assert_close(answers(model), answers(expected), rtol=1e-4, atol=1e-4)


def test_before_anything_is_learnt_it_answers_as_the_file_does(tmp_path):
    # Scales of plain 8 bits have more bits than those that learnt get; they keep them.
    path = build_model("deberta", tmp_path / "model")
    model, stored, parts, _ = prepared(path, tmp_path)
    expected = load(tmp_path / "out", dtype=torch.float32).eval()
    torch.testing.assert_close(answers(model), answers(expected), rtol=1e-5, atol=1e-5)
    for part in parts:
        if part.scale is not None:
            assert torch.equal(part.value(), stored.scales[part.name])


def own(model, name):
    if name in dict(model.named_parameters()):
        return name
    return f"{model.base_model_prefix}.{name}"


def test_vectors_are_learnt_as_they_are_stored(tmp_path):
    path = build_model("deberta", tmp_path / "model")
    model, _, parts, reports = prepared(path, tmp_path)
    [bias] = [part for part in parts if part.name.endswith("classifier.bias")]
    with torch.no_grad():
        bias.learns.fill_(0.1)
    dtype = getattr(torch, reports[bias.name].stored_dtype)
    assert torch.equal(model.classifier.bias, torch.full_like(model.classifier.bias, 0.1).to(dtype).float())
    # Rounding is no wall: gradients pass it.
    model.classifier.bias.sum().backward()
    assert torch.equal(bias.learns.grad, torch.ones_like(bias.learns))


def test_scales_get_gradients_and_matrices_none(tmp_path):
    path = build_model("bert", tmp_path / "model")
    model, _, parts, _ = prepared(path, tmp_path)
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
    for part in parts:
        part.learns.requires_grad_()
    model(torch.arange(5, 29).view(2, 12))[0].square().sum().backward()
    reached = [part for part in parts if part.learns.grad is not None and part.learns.grad.any()]
    assert len(reached) > len(parts) / 2
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.grad is None


def test_a_row_of_zeros_stays_one(tmp_path):
    config = transformers.BertConfig(
        vocab_size=160, hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=96
    )
    model = transformers.BertModel(config).eval()
    model.encoder.layer[0].intermediate.dense.weight.data[3] = 0
    model.save_pretrained(tmp_path / "model")
    learning, _, parts, _ = prepared(tmp_path / "model", tmp_path)
    assert torch.isfinite(answers(learning)).all()
    for part in parts:
        assert torch.isfinite(part.value()).all()
