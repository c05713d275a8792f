"""Models with a class of their own: refused, run only where the caller says so, or compressed unchecked."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.conftest import SIZES, add_tokenizer, change_config

import prensa
from prensa.errors import ModelError, PrensaError, RecipeError

CODE = """
import torch
from transformers import BertForSequenceClassification

class ScaledBert(BertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        self.scale = torch.nn.Parameter(torch.full((2,), 3.0))
        self.post_init()

    def forward(self, *args, **settings):
        output = super().forward(*args, **settings)
        output.logits = output.logits * self.scale
        return output
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    torch.manual_seed(0)
    directory = tmp_path / "model"
    transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=110, **SIZES)
    ).save_pretrained(directory)
    tensors = load_file(directory / "model.safetensors") | {"scale": torch.full((2,), 2.0)}
    from safetensors.torch import save_file

    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    (directory / "modeling_scaled.py").write_text(CODE)
    change_config(
        directory,
        architectures=["ScaledBert"],
        auto_map={"AutoModelForSequenceClassification": "modeling_scaled.ScaledBert"},
    )
    return add_tokenizer(directory)


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
def test_own_code_is_refused_by_name(own_code, tmp_path, use):
    message = (
        r"class ScaledBert is the model's own code \(modeling_scaled.ScaledBert\), which is not run; give"
    )
    with pytest.raises(ModelError, match=message):
        use(own_code, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "modules").exists()


def test_a_known_class_with_code_of_its_own_is_refused_too(own_code):
    change_config(
        own_code,
        architectures=["BertForSequenceClassification"],
        auto_map={"AutoModelForSequenceClassification": "modeling_scaled.BertForSequenceClassification"},
    )
    with pytest.raises(ModelError, match=r"own code .* remove auto_map"):
        prensa.load(own_code)


def test_trusted_code_is_run(own_code, tmp_path):
    prensa.compress(own_code, tmp_path / "out", trust_remote_code=True)
    with pytest.raises(ModelError, match="own code"):
        prensa.load(tmp_path / "out")
    loaded = prensa.load(tmp_path / "out", trust_remote_code=True, dtype=torch.float32).eval()
    assert type(loaded).__name__ == "ScaledBert"
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        plain = transformers.BertForSequenceClassification.forward(loaded, ids).logits
        torch.testing.assert_close(loaded(ids).logits, 2 * plain)
    served = prensa.load(own_code, runtime="torch", dtype="float32", trust_remote_code=True)
    assert next(served.predict(["a b"])).label in {"LABEL_0", "LABEL_1"}


def test_trust_ends_with_the_call(own_code, tmp_path):
    prensa.load(own_code, trust_remote_code=True)
    with pytest.raises(ModelError, match="own code"):
        prensa.load(own_code)


@pytest.mark.parametrize("preset", ["int8", "half", "classic"])
def test_unchecked(own_code, tmp_path, preset):
    if preset == "classic":
        with pytest.raises(RecipeError, match="`unchecked`[: ]+takes passes without texts"):
            prensa.compress(own_code, tmp_path / "out", preset="small", unchecked=True)
        return
    manifest = prensa.compress(own_code, tmp_path / "out", preset=preset, unchecked=True).manifest
    assert "compressed unchecked" in manifest.notes[-1]
    assert "compressed unchecked" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(ModelError, match="own code"):
        prensa.evaluate(own_code, tmp_path / "out")
    right, found = (
        prensa.load(path, trust_remote_code=True, dtype=torch.float32).eval()
        for path in (own_code, tmp_path / "out")
    )
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(found(ids).logits, right(ids).logits, atol=0.02, rtol=0.02)


def test_a_config_never_allows_anything(own_code):
    content = json.loads((own_code / "config.json").read_text())
    (own_code / "config.json").write_text(
        json.dumps({**content, "trust_remote_code": True, "unchecked": True})
    )
    with pytest.raises(PrensaError, match="own code"):
        prensa.load(own_code)
