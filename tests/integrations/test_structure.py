import copy
import json
import subprocess
import sys
import textwrap

import pytest
import torch
import transformers
from tests.conftest import add_tokenizer, build_model, change_config, change_weights
from tests.narrow import PLACES, shrunk

import prensa
from prensa.checkpoint.structure import structure_of
from prensa.errors import FormatError, ModelError, PrensaError

IDS = torch.arange(2, 18).reshape(2, 8)
NEURONS = "bert.encoder.layer.0.intermediate.dense"


@pytest.fixture
def narrow(tmp_path):
    add_tokenizer(build_model("bert", tmp_path / "model"))
    shrunk(tmp_path / "model", tmp_path / "narrow", "bert")
    return tmp_path / "narrow"


@pytest.mark.parametrize("family", sorted(PLACES))
def test_a_packed_narrower_model_is_loaded_and_saved_and_loaded(family, tmp_path):
    build_model(family, tmp_path / "model")
    model = shrunk(tmp_path / "model", tmp_path / "narrow", family)
    prensa.compress(tmp_path / "narrow", tmp_path / "packed", preset="int8")
    loaded = prensa.load(tmp_path / "packed", dtype=torch.float32)
    with torch.inference_mode():
        expected, answers = model(IDS).logits, loaded(IDS).logits
    assert (answers - expected).norm() / expected.norm() < 0.05
    loaded.save_pretrained(tmp_path / "saved")
    for again in (prensa.load(tmp_path / "saved"), type(model).from_pretrained(tmp_path / "saved")):
        assert torch.equal(again(IDS).logits, answers)
    # What was saved is no result any more: it can be compressed, and its names are checked.
    prensa.compress(tmp_path / "saved", tmp_path / "packed again", preset="int8")


def test_a_loaded_model_is_an_ordinary_one(narrow):
    model = prensa.load(narrow)
    assert not model.is_quantized
    assert all(parameter.requires_grad for parameter in model.parameters())
    copied = copy.deepcopy(model)
    assert torch.equal(copied(IDS).logits, model(IDS).logits)
    assert copied.half().dtype == torch.float16  # quantized models refuse it
    assert structure_of(copied.config) == structure_of(json.loads((narrow / "config.json").read_text()))


def test_the_library_s_trainer_trains_and_saves_it(narrow, tmp_path):
    pytest.importorskip("accelerate")
    model = prensa.load(narrow).train()
    before = model.get_submodule(NEURONS).weight.detach().clone()
    rows = [{"input_ids": row, "labels": row} for row in IDS]
    settings = transformers.TrainingArguments(
        output_dir=str(tmp_path / "training"),
        max_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(model=model, args=settings, train_dataset=rows)
    trainer.train()
    trainer.save_model(str(tmp_path / "trained"))
    after = prensa.load(tmp_path / "trained").get_submodule(NEURONS).weight
    assert torch.equal(after, model.get_submodule(NEURONS).weight)
    assert not torch.equal(after, before)


def test_a_base_model_of_a_narrower_one_and_the_reverse(narrow, tmp_path):
    base = transformers.AutoModel.from_pretrained(narrow, add_pooling_layer=False)
    whole = prensa.load(narrow)
    expected = whole.bert(IDS).last_hidden_state
    assert torch.equal(base(IDS).last_hidden_state, expected)
    base.save_pretrained(tmp_path / "base")
    headed = transformers.BertForMaskedLM.from_pretrained(tmp_path / "base")
    assert torch.equal(headed.bert(IDS).last_hidden_state, expected)


def test_without_prensa_a_narrower_model_raises(narrow, tmp_path):
    """In another process, since this one has imported it: dense, saved again, and packed."""
    prensa.load(narrow).save_pretrained(tmp_path / "saved")
    prensa.compress(narrow, tmp_path / "packed", preset="int8")
    places = [str(tmp_path / name) for name in ("narrow", "saved", "packed")]
    script = f"""
        from transformers import AutoModel, AutoModelForMaskedLM
        for place in {places!r}:
            for auto_class in (AutoModel, AutoModelForMaskedLM):
                try:
                    auto_class.from_pretrained(place)
                except RuntimeError as error:
                    print("mismatched" in str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n" * 6


def test_names_are_checked_as_those_of_any_original(narrow):
    change_weights(narrow, lambda tensors: tensors.pop(f"{NEURONS}.weight"))
    with pytest.raises(ModelError, match="1 tensor of the .* that BertForMaskedLM needs are missing"):
        prensa.load(narrow)


def test_another_weight_file_is_refused(narrow):
    change_weights(narrow, lambda tensors: tensors[f"{NEURONS}.bias"].add_(1))
    with pytest.raises(FormatError, match="model.safetensors: damaged, expected SHA-256"):
        prensa.load(narrow)


def test_packed_tensors_are_never_loaded_without_a_checksum(narrow, tmp_path):
    prensa.compress(narrow, tmp_path / "packed", preset="int8")
    config = json.loads((tmp_path / "packed" / "config.json").read_text())
    del config["quantization_config"]["sha256"]
    (tmp_path / "packed" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match="no checksum"):
        prensa.load(tmp_path / "packed")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("bert.encoder.layer.7.output.dense", [37, 48]),
        (NEURONS, [-37, 48]),
        (NEURONS, [370, 48]),
        (NEURONS, [37.0, 48]),
        (f"{NEURONS}.forward", [37, 48]),
    ],
)
def test_a_damaged_structure_is_one_line_whoever_loads_it(narrow, name, sizes):
    config = json.loads((narrow / "config.json").read_text())["quantization_config"]
    config["structure"]["matrices"][name] = sizes
    change_config(narrow, quantization_config=config)
    for load in (prensa.load, transformers.AutoModelForMaskedLM.from_pretrained):
        with pytest.raises(FormatError) as caught:
            load(narrow)
        assert f"damaged structure, {name}: " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_of_another_width_are_refused(narrow):
    config = json.loads((narrow / "config.json").read_text())["quantization_config"]
    config["structure"]["matrices"][NEURONS] = [36, 48]
    change_config(narrow, quantization_config=config)
    with pytest.raises(PrensaError, match="has the shape"):
        prensa.load(narrow)
    # Which of the two it is depends on the version of transformers.
    with pytest.raises((RuntimeError, FormatError), match="mismatched|expected a weight of .36, 48., found"):
        transformers.AutoModelForMaskedLM.from_pretrained(narrow)
