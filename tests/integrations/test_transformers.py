import json
import subprocess
import sys
import textwrap

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.conftest import FAMILIES, build_model, directory_bytes

import prensa
from prensa.checkpoint.checksum import sha256
from prensa.errors import FormatError
from prensa.ops.affine import dequantize, quantize

IDS = torch.arange(2, 18).reshape(2, 8)


def model_kind(directory):
    return getattr(transformers, json.loads((directory / "config.json").read_text())["architectures"][0])


def same_state(left, right):
    left, right = left.state_dict(), right.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("preset", ["classic", "half", "int8"])
def test_weights_are_exactly_what_was_stored_and_saving_is_exact(any_model, tmp_path, preset):
    manifest = prensa.compress(any_model, tmp_path / "out", preset=preset).manifest
    kind = model_kind(any_model)
    loaded, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.dtype == torch.float16
    assert not hasattr(loaded.config, "quantization_config")
    if preset == "half":
        original = load_file(any_model / "model.safetensors")
        state = loaded.state_dict()
        assert all(torch.equal(state[name], original[name].to(torch.float16)) for name in original)
    assert any(report.codec in {"planes", "sparse"} for report in manifest.tensors)
    loaded.save_pretrained(tmp_path / "second")
    second = kind.from_pretrained(tmp_path / "second")
    assert same_state(loaded, second)
    second.save_pretrained(tmp_path / "third")
    weights = [directory_bytes(tmp_path / name)["model.safetensors"] for name in ("second", "third")]
    assert weights[0] == weights[1]


def test_quantized_weights_are_step_times_integer(model, tmp_path):
    prensa.compress(model, tmp_path / "out", preset="int8")
    name = "deberta.encoder.layer.1.output.dense.weight"
    half = load_file(model / "model.safetensors")[name].to(torch.float16)
    loaded = prensa.load(tmp_path / "out", dtype=torch.float32)
    assert torch.equal(loaded.get_parameter(name), dequantize(quantize(half), torch.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dtype_that_is_asked_for(model, tmp_path, dtype):
    prensa.compress(model, tmp_path / "out")
    loaded = prensa.load(tmp_path / "out", dtype=dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}


def test_a_loaded_model_trains(model, tmp_path):
    prensa.compress(model, tmp_path / "out")
    loaded = prensa.load(tmp_path / "out", dtype=torch.float32).train()
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    loaded(IDS, labels=torch.tensor([0, 1])).loss.backward()
    assert loaded.deberta.encoder.layer[0].output.dense.weight.grad.abs().sum() > 0


def test_tied_weights_stay_tied(tmp_path):
    model = build_model("gpt2", tmp_path / "model")
    prensa.compress(model, tmp_path / "out")
    loaded = prensa.load(tmp_path / "out")
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert loaded.lm_head.weight.shape == (160, 48)


def test_a_base_model_from_a_checkpoint_with_a_head_and_the_reverse(model, tmp_path):
    prensa.compress(model, tmp_path / "out")
    whole = prensa.load(tmp_path / "out")
    base = transformers.AutoModel.from_pretrained(tmp_path / "out")
    assert same_state(base, whole.deberta)
    base.save_pretrained(tmp_path / "base")
    prensa.compress(tmp_path / "base", tmp_path / "packed base", preset="half")
    headed = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "packed base")
    assert same_state(headed.deberta, whole.deberta)


def test_shards(tmp_path):
    model = build_model("llama", tmp_path / "model", max_shard_size="60KB")
    prensa.compress(model, tmp_path / "out", preset="int8")
    one = build_model("llama", tmp_path / "one")
    prensa.compress(one, tmp_path / "out one", preset="int8")
    assert same_state(prensa.load(tmp_path / "out"), prensa.load(tmp_path / "out one"))


def test_without_prensa_a_packed_model_raises(model, tmp_path):
    """In another process, since this one has imported it. Random weights would be silent garbage."""
    prensa.compress(model, tmp_path / "out")
    script = f"""
        from transformers import AutoModel, AutoModelForSequenceClassification
        for auto_class in (AutoModel, AutoModelForSequenceClassification):
            try:
                auto_class.from_pretrained({str(tmp_path / "out")!r})
            except RuntimeError as error:
                print("mismatched" in str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\nTrue\n"


@pytest.mark.parametrize("first", ["import prensa", "import transformers.quantizers.auto; import prensa"])
def test_importing_in_either_order_registers(model, tmp_path, first):
    prensa.compress(model, tmp_path / "out")
    script = f"""
        {first}
        from transformers import AutoModelForSequenceClassification as Model
        print(Model.from_pretrained({str(tmp_path / "out")!r}).dtype)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "torch.float16\n"


def test_importing_prensa_imports_nothing_heavy():
    script = "import sys, prensa; print(*{'torch', 'numpy', 'transformers', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_every_byte_of_a_packed_file_is_covered(model, tmp_path):
    prensa.compress(model, tmp_path / "out", preset="classic")
    file = tmp_path / "out" / "model.safetensors"
    content = file.read_bytes()
    positions = [0, 7, 8, 50, *range(100, len(content), len(content) // 40), len(content) - 1]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        file.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"model.safetensors: damaged, expected SHA-256"):
            prensa.load(tmp_path / "out")
    file.write_bytes(content[:-1])
    with pytest.raises(FormatError, match="damaged"):
        prensa.load(tmp_path / "out")


def test_a_forged_checksum_does_not_help_a_damaged_tensor(model, tmp_path):
    prensa.compress(model, tmp_path / "out", preset="int8")
    file = tmp_path / "out" / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("_packed"))
    tensors[name][:] = 0
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    config["quantization_config"]["sha256"] = {"model.safetensors": sha256(file)}
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match=f"tensor {name.removesuffix('_packed')}: expected it to begin"):
        prensa.load(tmp_path / "out")


def test_a_newer_format_is_refused_by_name(model, tmp_path):
    prensa.compress(model, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    config["quantization_config"]["format_version"] = 2
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match="version 1, found 2; install a newer prensa"):
        prensa.load(tmp_path / "out")
    del config["quantization_config"]["format_version"], config["quantization_config"]["sha256"]
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match="no checksum"):
        prensa.load(tmp_path / "out")


def test_modules_kept_in_float32_stay_in_it(tmp_path):
    config = transformers.T5Config(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    torch.manual_seed(0)
    transformers.T5EncoderModel(config).save_pretrained(tmp_path / "model")
    prensa.compress(tmp_path / "model", tmp_path / "out")
    loaded = prensa.load(tmp_path / "out")
    reference = transformers.T5EncoderModel.from_pretrained(tmp_path / "model", dtype=torch.float16)
    ours, theirs = (dict(each.named_parameters()) for each in (loaded, reference))
    assert {name: each.dtype for name, each in ours.items()} == {name: e.dtype for name, e in theirs.items()}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_outputs_are_close_to_the_originals(family, tmp_path):
    model = build_model(family, tmp_path / "model")
    prensa.compress(model, tmp_path / "out", preset="int8")
    with torch.inference_mode():
        before = prensa.load(model)(IDS).logits
        after = prensa.load(tmp_path / "out", dtype=torch.float32)(IDS).logits
    assert (after - before).norm() / before.norm() < 0.05


def test_names_that_transformers_changes_on_loading(tmp_path):
    """ViT is saved under the names of an earlier version; experts of Mixtral are saved apart and merged."""
    config = transformers.ViTConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        image_size=32,
        patch_size=8,
    )
    mixtral = transformers.MixtralConfig(
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=160,
        num_local_experts=2,
    )
    for name, model in {
        "vit": transformers.ViTForImageClassification(config),
        "mixtral": transformers.MixtralForCausalLM(mixtral),
    }.items():
        model.save_pretrained(tmp_path / name)
        manifest = prensa.compress(tmp_path / name, tmp_path / f"{name} half", preset="half").manifest
        assert any(report.codec == "planes" for report in manifest.tensors)
        loaded = prensa.load(tmp_path / f"{name} half")
        reference = prensa.load(tmp_path / name, dtype=torch.float16)
        assert same_state(loaded, reference)
        prensa.compress(tmp_path / name, tmp_path / f"{name} int8", preset="int8")
        assert prensa.load(tmp_path / f"{name} int8").dtype == torch.float16
    linear = [report for report in prensa.inspect(tmp_path / "vit int8").tensors if report.role == "linear"]
    assert len(linear) == 12
    assert all(report.bits_per_weight < 12 for report in linear)


def test_weights_that_the_model_computes_from_others(tmp_path):
    """The positional convolution of wav2vec 2.0 has a parametrized weight."""
    config = transformers.Wav2Vec2Config(
        hidden_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=96,
        conv_dim=(32, 32),
        conv_stride=(5, 2),
        conv_kernel=(10, 3),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "model")
    prensa.compress(tmp_path / "model", tmp_path / "out", preset="half")
    loaded, reference = prensa.load(tmp_path / "out"), prensa.load(tmp_path / "model", dtype=torch.float16)
    assert same_state(loaded, reference)
