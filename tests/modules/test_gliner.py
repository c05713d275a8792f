"""GLiNER, whose model is no ``AutoModel``: random weights of its own config, compressed and loaded again."""

import json
import shutil

import pytest
import torch
from tests.conftest import add_tokenizer, build_model

import prensa

LABELS = ["person", "place", "thing"]
TEXTS = [f"{'abcdefghij'[n % 10] * 3} went to {'klmnop'[n % 6] * 4} {n}" for n in range(24)]

gliner = pytest.importorskip("gliner", reason="needs gliner (pip install --no-deps gliner)")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return add_tokenizer(build_model("deberta", tmp_path_factory.mktemp("gliner") / "encoder"))


def built(encoder, seed=0):
    torch.manual_seed(seed)
    config = gliner.GLiNERConfig(
        model_name=str(encoder), hidden_size=48, max_width=4, max_len=32, dropout=0.0, span_mode="markerV0"
    )
    return gliner.GLiNER.from_config(config, backbone_from_pretrained=False).eval()


def run(model, texts):
    prepared = model.prepare_batch(texts, LABELS)
    batch = model.collate_batch(prepared["input_x"], prepared["entity_types"])
    return model(**batch).logits


def spans(model):
    return model.inference(TEXTS, LABELS, threshold=0.3)


@torch.no_grad()
def error(original, result):
    """The squared error of span scores, as a share of their variance: random weights set labels apart by little."""
    right = run(original, TEXTS)
    return float((run(result, TEXTS) - right).square().mean() / right.var())


@pytest.mark.parametrize("way", ["logits", "inference"])
def test_compressed_stored_loaded_into_a_fresh_one(encoder, tmp_path, way):
    original = built(encoder)
    calls = {"logits": run, "inference": lambda model, texts: model.inference(texts, LABELS)}
    small = prensa.compress_module(original, texts=TEXTS, run=calls[way], prefix="model", batch_size=8)
    assert type(small) is type(original)
    prensa.save(small, tmp_path / "out")
    fresh = built(encoder, seed=1)
    assert spans(fresh) != spans(small)
    prensa.load_into(fresh, tmp_path / "out")
    assert spans(fresh) == spans(small)
    assert 0 < error(original, fresh) < 0.02
    manifest = prensa.inspect(tmp_path / "out")
    assert manifest.nbytes < 0.6 * manifest.nbytes_before


def test_loaded_without_the_original_as_the_guide_says(encoder, tmp_path):
    original = built(shutil.copytree(encoder, tmp_path / "encoder"))
    small = prensa.compress_module(original, preset="int8")
    out = tmp_path / "out"
    prensa.save(small, out)
    original.config.to_json_file(str(out / "gliner_config.json"))
    original.data_processor.transformer_tokenizer.save_pretrained(out)
    shutil.rmtree(tmp_path / "encoder")
    config = json.loads((out / "gliner_config.json").read_text())
    config["model_name"] = str(out)
    model = gliner.GLiNER.from_config(config, backbone_from_pretrained=False).eval()
    prensa.load_into(model, out)
    assert spans(model) == spans(small)
