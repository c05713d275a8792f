"""What a class reads: texts, or something that nothing here can feed it."""

import pytest
import torch
import transformers
from tests.conftest import SIZES, add_tokenizer, build_model

import prensa
from prensa.checkpoint.inputs import check_reads_texts, reads_instead
from prensa.errors import ModelError

VISION = {"image_size": 16, "patch_size": 8, **SIZES}


def named(config, name):
    config.architectures = [name]
    return config


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (named(transformers.ViTConfig(), "ViTForImageClassification"), "pictures"),
        (named(transformers.SwinConfig(), "SwinModel"), "pictures"),
        (named(transformers.Wav2Vec2Config(), "Wav2Vec2ForCTC"), "sound"),
        (named(transformers.WhisperConfig(), "WhisperForConditionalGeneration"), "sound"),
        (named(transformers.CLIPConfig(), "CLIPModel"), "pictures beside texts"),
        (named(transformers.CLIPTextConfig(), "CLIPTextModel"), ""),
        (named(transformers.BertConfig(), "BertModel"), ""),
        (named(transformers.PerceiverConfig(), "PerceiverForSequenceClassification"), ""),
        (named(transformers.CanineConfig(), "CanineForSequenceClassification"), ""),
    ],
)
def test_what_classes_read(config, what, tmp_path):
    assert reads_instead(config) == what
    if what:
        with pytest.raises(ModelError, match=f"{config.architectures[0]} reads {what}, and is not"):
            check_reads_texts(tmp_path, config)


@pytest.fixture
def pictures(tmp_path):
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=3, **VISION))
    model.save_pretrained(tmp_path / "pictures")
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "use",
    [
        lambda model, texts: prensa.compress(model, model.parent / "out", texts=texts),
        lambda model, texts: prensa.export(model, model.parent / "out", to="onnxruntime"),
        lambda model, texts: prensa.evaluate(model, model, data=texts),
        lambda model, texts: prensa.load(model, runtime="torch"),
    ],
)
def test_nothing_of_texts_is_done_with_pictures(pictures, texts, use):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match="ViTForImageClassification reads pictures") as refused:
        use(pictures, texts)
    assert "SentencePiece" not in str(refused.value)
    assert not (pictures.parent / "out").exists()


def test_without_texts_pictures_are_compressed(pictures, tmp_path):
    prensa.compress(pictures, tmp_path / "out")
    assert type(prensa.load(tmp_path / "out")).__name__ == "ViTForImageClassification"


def test_a_tokenizer_of_texts_is_loaded_as_ever(tmp_path):
    from prensa.texts.tokenizers import load_tokenizer

    assert load_tokenizer(add_tokenizer(build_model("bert", tmp_path / "model"))).pad_token == "[PAD]"
