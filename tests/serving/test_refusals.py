"""Models that no runtime can serve are named before a weight is read."""

import pytest
import transformers
from tests.conftest import SIZES, add_tokenizer

import prensa
from prensa.errors import ModelError

BART = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}

SERVED = [
    ("BertForMultipleChoice", transformers.BertConfig(**SIZES), "chooses one of several texts"),
    ("BartForConditionalGeneration", transformers.BartConfig(**BART), "a decoder that writes texts"),
    ("T5ForConditionalGeneration", transformers.T5Config(**T5), "a decoder that writes texts"),
    ("ViTForImageClassification", transformers.ViTConfig(**SIZES), "reads pictures"),
    ("Wav2Vec2ForCTC", transformers.Wav2Vec2Config(**SIZES), "reads sound"),
    (
        "EncoderDecoderModel",
        transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
            transformers.BertConfig(**SIZES), transformers.BertConfig(is_decoder=True, **SIZES)
        ),
        "a decoder that writes texts",
    ),
]
EXPORTED = [
    ("BartForSequenceClassification", transformers.BartConfig(**BART), "position of its last </s>"),
    ("T5Model", transformers.T5Config(**T5), "an encoder and a decoder"),
    ("LongformerModel", transformers.LongformerConfig(attention_window=4, **SIZES), "windows"),
    ("FunnelModel", transformers.FunnelConfig(block_sizes=[1]), "shortens each text"),
    ("CanineForSequenceClassification", transformers.CanineConfig(**SIZES), "characters in windows"),
    ("BigBirdForSequenceClassification", transformers.BigBirdConfig(**SIZES), "at random"),
    ("ReformerForSequenceClassification", transformers.ReformerConfig(), "at random"),
]


@pytest.fixture
def model(tmp_path):
    """A directory of a config and a file of weights that nobody may read."""

    def make(name, config):
        config.architectures = [name]
        config.save_pretrained(tmp_path / "model")
        (tmp_path / "model" / "model.safetensors").write_bytes(b"never read")
        return tmp_path / "model"

    return make


@pytest.mark.parametrize(("name", "config", "words"), SERVED + EXPORTED)
def test_exporting(model, tmp_path, name, config, words):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match=words) as raised:
        prensa.export(model(name, config), tmp_path / "out", to="onnxruntime")
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("runtime", ["torch", "auto", "onnxruntime"])
@pytest.mark.parametrize(("name", "config", "words"), SERVED)
def test_loading_to_serve(model, monkeypatch, tmp_path, name, config, words, runtime):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=words):
        prensa.load(model(name, config), runtime=runtime)


def test_the_half_of_t5_that_reads_is_not_refused(tmp_path):
    config = transformers.T5Config(vocab_size=120, **T5)
    transformers.T5EncoderModel(config).eval().save_pretrained(tmp_path / "model")
    served = prensa.load(add_tokenizer(tmp_path / "model"), runtime="torch", dtype="float32")
    inputs = served.tokenizer("a b", return_tensors="pt")
    assert served(**inputs).last_hidden_state.shape == (1, inputs["input_ids"].shape[1], 16)
