"""Names that do not fit the class are mended and reported, or refused; never loaded as random numbers."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.conftest import SIZES, build_model, change_config, change_weights

import prensa
from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.names import check_names, fitted
from prensa.checkpoint.reader import read_headers
from prensa.checkpoint.roles import model_shape
from prensa.errors import ModelError

QUERY = "deberta.encoder.layer.0.attention.self.query_proj.weight"


def rename(directory, new_name):
    tensors = load_file(directory / "model.safetensors")
    save_file(
        {new_name(name): value for name, value in tensors.items()},
        directory / "model.safetensors",
        {"format": "pt"},
    )


def opened(directory):
    return fitted(read_headers(directory), model_shape(directory))


def read_all(directory):
    checkpoint = opened(directory)
    return {spec.name: checkpoint.read(spec) for spec in checkpoint.specs}, checkpoint.notes


def same(some, others):
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in others)


WRAPPINGS = {
    "compiled": (lambda name: f"_orig_mod.{name}", "'_orig_mod.' was taken off 42 tensor names"),
    "data parallel": (lambda name: f"module.{name}", "'module.' was taken off 42 tensor names"),
    "lightning": (lambda name: f"model.{name}", "'model.' was taken off 42 tensor names"),
    "peft": (lambda name: f"base_model.model.{name}", "'base_model.model.' was taken off 42 tensor names"),
    "own": (lambda name: f"net.inner.backbone.{name}", "'net.inner.backbone.' was taken off 42 tensor names"),
    "both": (lambda name: f"module._orig_mod.{name}", "'module.' was taken off 42 tensor names"),
    "blocks compiled": (
        lambda name: name.replace("layer.0.", "layer.0._orig_mod."),
        "'_orig_mod.' was taken off 16 tensor names",
    ),
    "fsdp": (
        lambda name: "_fsdp_wrapped_module." + name.replace(".encoder.", ".encoder._fsdp_wrapped_module."),
        "'_fsdp_wrapped_module.' was taken off 42 tensor names",
    ),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_names_are_taken_off_and_reported(model, wrapping):
    before = load_file(model / "model.safetensors")
    new_name, note = WRAPPINGS[wrapping]
    rename(model, new_name)
    found, notes = read_all(model)
    assert same(found, before)
    assert note in notes


def test_a_wrapped_model_loads_compresses_and_answers_as_itself(model, tmp_path):
    right = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    prensa.compress(model, tmp_path / "before")
    rename(model, lambda name: f"model.{name}")
    manifest = prensa.compress(model, tmp_path / "after").manifest
    assert manifest.notes == ("'model.' was taken off 42 tensor names",)
    files = [tmp_path / name / "model.safetensors" for name in ("before", "after")]
    assert same(load_file(files[1]), load_file(files[0]))
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(prensa.load(model).eval()(ids).logits, right(ids).logits)


def test_other_tensors_of_the_training_module_are_not_used(model):
    change_weights(model, lambda tensors: tensors.update({"loss.weight": torch.ones(3)}))
    rename(model, lambda name: name if name.startswith("loss") else f"model.{name}")
    checkpoint = opened(model)
    assert [spec.name for spec in checkpoint.specs if spec.is_unused] == ["loss.weight"]
    assert "does not use 1 tensor of the checkpoint (loss.weight)" in checkpoint.notes[1]


def test_a_body_with_a_prefix_and_a_head_without(model):
    before = load_file(model / "model.safetensors")
    rename(model, lambda name: name.replace("deberta.", "model."))
    found, _ = read_all(model)
    assert len(found) == len(before)
    assert torch.equal(found["encoder.layer.0.attention.self.query_proj.weight"], before[QUERY])


def test_two_models_in_one_file_are_refused(model):
    tensors = load_file(model / "model.safetensors")
    both = {
        f"{who}.{name}": value.clone() for who in ("teacher", "student") for name, value in tensors.items()
    }
    save_file(both, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"holds 2 models \(student\., teacher\.\) that all fit"):
        opened(model)


def test_two_tensors_for_one_parameter_are_refused(model):
    name = "deberta.encoder.LayerNorm.weight"
    change_weights(model, lambda t: t.update({"encoder.LayerNorm.weight": t[name].clone()}))
    with pytest.raises(ModelError, match=f"LayerNorm.weight are both {name} of DebertaV2"):
        opened(model)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "ema"])
def test_a_training_checkpoint(model, key):
    before = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    content = {"epoch": 3, key: before, "optimizer": {"state": {}, "param_groups": []}}
    torch.save(content, model / "pytorch_model.bin")
    found, notes = read_all(model)
    assert same(found, before)
    assert notes == (f"pytorch_model.bin is a training checkpoint: its {key!r} was taken",)
    assert torch.equal(prensa.load(model).classifier.weight, before["classifier.weight"])


def parts_of_pruning(weight):
    mask = (torch.arange(weight.numel()).reshape(weight.shape) % 3 > 0).float()
    return {"_orig": weight, "_mask": mask}, weight * mask


def parts_of_weight_norm(weight):
    norm = torch.nn.utils.weight_norm(torch.nn.Linear(*reversed(weight.shape)))
    norm.weight_v.data, norm.weight_g.data = weight, torch.rand(len(weight), 1) + 0.5
    norm(torch.zeros(1, weight.shape[1]))
    return {"_g": norm.weight_g.data, "_v": norm.weight_v.data}, norm.weight.data


def parts_of_spectral_norm(weight):
    norm = torch.nn.utils.spectral_norm(torch.nn.Linear(*reversed(weight.shape)))
    norm.weight_orig.data = weight
    norm.eval()(torch.zeros(1, weight.shape[1]))
    return {"_orig": weight, "_u": norm.weight_u, "_v": norm.weight_v}, norm.weight.data


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("parts", [parts_of_pruning, parts_of_weight_norm, parts_of_spectral_norm])
def test_weights_in_parts_are_worked_out(model, parts):
    torch.manual_seed(0)
    weight = load_file(model / "model.safetensors")[QUERY]
    stored, expected = parts(weight)
    change_weights(
        model, lambda t: t.update({QUERY + end: part for end, part in stored.items()}, x=t.pop(QUERY))
    )
    found, notes = read_all(model)
    torch.testing.assert_close(found[QUERY], expected)
    assert "1 weights" in notes[0]
    torch.testing.assert_close(prensa.load(model).get_parameter(QUERY).data, expected)


@pytest.mark.parametrize("method", ["weight_norm", "spectral_norm"])
def test_parametrizations_are_worked_out(model, method):
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, 48)
    getattr(torch.nn.utils.parametrizations, method)(layer).eval()
    before = QUERY.removesuffix("weight")
    stored = {before + name: value.clone() for name, value in layer.state_dict().items() if name != "bias"}
    change_weights(model, lambda t: (t.pop(QUERY), t.update(stored)))
    found, _ = read_all(model)
    torch.testing.assert_close(found[QUERY], layer.weight.detach())


def test_rows_of_a_weight_in_parts(model):
    weight = load_file(model / "model.safetensors")[QUERY]
    stored, expected = parts_of_pruning(weight)
    change_weights(model, lambda t: (t.pop(QUERY), t.update({QUERY + e: part for e, part in stored.items()})))
    checkpoint = opened(model)
    spec = next(spec for spec in checkpoint.specs if spec.name == QUERY)
    assert torch.equal(checkpoint.read(spec, slice(3, 7)), expected[3:7])


def remove(*starts):
    return lambda d: change_weights(d, lambda t: [t.pop(n) for n in list(t) if n.startswith(starts)])


def put(name):
    return lambda d: change_weights(d, lambda t: t.update({name: t.pop(QUERY)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("deberta.encoder.layer.1"), r"16 tensors of the 42 .* config.json counts more of them"),
        (remove(QUERY), rf"1 tensor of the 42 that DebertaV2\w+ needs .* model.safetensors \({QUERY}\)"),
        (remove("classifier"), "only the head is missing: .* `allow_new_head`"),
        (put("whatever"), "found in their place: whatever; save the model with save_pretrained"),
        (
            put(QUERY.replace(".weight", ".lora_A.default.weight")),
            r"merge it with model.merge_and_unload\(\)",
        ),
        (put(QUERY.replace(".weight", ".qweight")), "quantized, but config.json has no quantization_config"),
        (put(QUERY + "_orig"), "call torch.nn.utils.prune.remove"),
        (put(QUERY.replace(".weight", ".parametrizations.weight.original")), "remove_parametrizations"),
        (lambda d: rename(d, lambda name: f"x{hash(name)}"), "none of its names fits: .* different models"),
        (
            lambda d: change_config(d, num_hidden_layers=3),
            "config.json counts more of them than the file has",
        ),
    ],
)
def test_what_is_missing_is_one_error_everywhere(model, tmp_path, change, message):
    change(model)
    for use in (
        lambda: check_names(model),
        lambda: prensa.compress(model, tmp_path / "out"),
        lambda: prensa.load(model),
    ):
        with pytest.raises(ModelError, match=message):
            use()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "use",
    [
        prensa.compress,
        lambda d, out: prensa.evaluate(d, d),
        lambda d, out: prensa.load(d),
        lambda d, out: prensa.load(d, runtime="torch"),
        lambda d, out: prensa.export(d, out, to="onnxruntime"),
        lambda d, out: prensa.inspect(d),
    ],
)
def test_a_head_that_does_not_fit_the_labels(original, tmp_path, use):
    change_config(original, id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    with pytest.raises(ModelError, match=r"classifier\.\w+ has the shape .* config.json requires"):
        use(original, tmp_path / "out")


def test_a_new_head_is_taken_where_it_is_allowed(model, tmp_path):
    remove("classifier")(model)
    manifest = prensa.compress(model, tmp_path / "out", allow_new_head=True).manifest
    assert "the head is new: 2 tensors (classifier.weight, classifier.bias)" in manifest.notes[0]
    with pytest.raises(ModelError, match="transformers found no values for 2 tensors"):
        prensa.load(tmp_path / "out")
    first, second = (prensa.load(tmp_path / "out", allow_new_head=True) for _ in range(2))
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    remove("deberta.encoder.LayerNorm")(model)
    with allowing(new_head=True), pytest.raises(ModelError, match="4 tensors of the 42"):
        check_names(model)


def test_what_the_model_does_not_use_decides_nothing(model, tmp_path):
    mask = torch.full((4, 4), float("-inf")).triu(1)
    extra = {
        "deberta.mask": mask,
        "old.bias": torch.tensor([float("nan"), -1e9]),
        "deberta.step": torch.ones(1),
    }
    change_weights(model, lambda t: t.update(extra))
    manifest = prensa.compress(model, tmp_path / "out").manifest
    assert (
        "does not use 3 tensors of the checkpoint (deberta.mask, deberta.step, old.bias)" in manifest.notes[0]
    )
    assert manifest.notes[0].endswith("left as in the file; `drop_unused` leaves them out")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in extra.items() if name != "old.bias")
    assert not extra.keys() & {report.name for report in manifest.tensors}
    assert prensa.load(tmp_path / "out").dtype == torch.float16
    less = prensa.compress(model, tmp_path / "less", drop_unused=True).manifest
    assert less.notes[0].endswith(": left out")
    assert not extra.keys() & load_file(tmp_path / "less" / "model.safetensors").keys()


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_tied_and_renamed_weights_need_nothing(family, tmp_path):
    assert check_names(build_model(family, tmp_path / "model")) == ()


def test_old_names_of_norms(tmp_path):
    model = build_model("bert", tmp_path / "model")
    before = load_file(model / "model.safetensors")
    rename(
        model,
        lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ),
    )
    assert check_names(model) == ()
    prensa.compress(model, tmp_path / "out", preset="half")
    loaded = prensa.load(tmp_path / "out").bert.embeddings.LayerNorm.weight
    assert torch.equal(loaded, before["bert.embeddings.LayerNorm.weight"].half())


def test_a_base_model_of_a_model_with_a_head(tmp_path):
    config = transformers.BertConfig(vocab_size=50, **SIZES)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    change_config(tmp_path, architectures=["BertModel"])
    with pytest.raises(
        ModelError, match=r"only the head is missing.*pooler|pooler.*only the head is missing"
    ):
        check_names(tmp_path)
    with allowing(new_head=True):
        notes = check_names(tmp_path)
    assert "pooler.dense.weight" in notes[0]


@pytest.mark.parametrize("preset", ["int8", "classic"])
def test_a_result_is_held_to_the_same_rule(model, tmp_path, preset):
    prensa.compress(model, tmp_path / "out", preset=preset)
    assert check_names(tmp_path / "out") == ()
    change_weights(tmp_path / "out", lambda t: t.pop("classifier.bias"))
    with pytest.raises(ModelError, match="only the head is missing"):
        check_names(tmp_path / "out")


def test_the_file_that_the_config_names_is_the_one_that_is_read(model):
    (model / "model.safetensors").rename(model / "other.safetensors")
    (model / "model.safetensors").write_bytes(b"not looked at")
    change_config(model, transformers_weights="other.safetensors")
    assert opened(model).files == ("other.safetensors",)
    change_config(model, transformers_weights="../model/other.safetensors")
    with pytest.raises(ModelError, match="which config.json names"):
        opened(model)
