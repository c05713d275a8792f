"""PEFT adapters: alone or beside their model, merged as PEFT itself merges them, or refused in one line."""

import json
import logging
import shutil

import pytest
import torch
import transformers
from tests.conftest import SIZES, add_tokenizer, change_config

import prensa
from prensa.checkpoint import adapters
from prensa.checkpoint.locate import locate
from prensa.errors import MissingPackageError, ModelError
from prensa.files.temporary import remove_as

peft = pytest.importorskip("peft", reason="peft is not installed")

# Of peft and transformers with each other.
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
]

IDS = torch.tensor([[2, 40, 50, 60, 3]])
LORA = {"peft_type": "LORA", "task_type": "SEQ_CLS", "target_modules": ["query", "value"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A base model without a head, and what an adapter with one answers on it."""
    place = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=160, **SIZES)).save_pretrained(place / "base")
    add_tokenizer(place / "base")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(place / "base", num_labels=3)
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], r=4)
    )
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    adapted.save_pretrained(place / "adapter")
    with torch.inference_mode():
        return place, adapted.eval()(input_ids=IDS).logits


@pytest.fixture
def adapter(trained, tmp_path):
    """A copy of the adapter, which may be spoiled."""
    shutil.copytree(trained[0] / "adapter", tmp_path / "adapter")
    return tmp_path / "adapter"


def change(adapter, **settings):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def answers(path):
    with torch.inference_mode():
        return prensa.load(path).eval()(input_ids=IDS).logits.float()


def test_an_adapter_alone_answers_as_with_peft(trained, caplog):
    place, expected = trained
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(answers(place / "adapter"), expected)
        directory = locate(place / "adapter")
    assert directory == locate(place / "adapter")  # of the same files once
    assert [record.getMessage() for record in caplog.records if "PEFT" in record.getMessage()] == [
        f"{place / 'adapter'}: a PEFT adapter (LORA), merged into its base model {place / 'base'} first"
    ]
    names = {path.name for path in directory.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not {"adapter_config.json", "adapter_model.safetensors"} & names
    assert prensa.load(directory).config.num_labels == 3
    assert directory.name == "adapter"  # of which cards and tables speak


def test_an_adapter_beside_its_model_whose_name_leads_nowhere(trained, adapter):
    for file in (trained[0] / "base").iterdir():
        shutil.copy(file, adapter)
    change(adapter, base_model_name_or_path="/moved/away")
    change_config(adapter, id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    torch.testing.assert_close(answers(adapter), trained[1])
    assert prensa.load(adapter).config.id2label == {0: "a", 1: "b", 2: "c"}


def test_what_is_compressed_over_an_adapter_has_none(trained, adapter):
    for file in (trained[0] / "base").iterdir():
        shutil.copy(file, adapter)
    change(adapter, base_model_name_or_path=str(adapter))
    prensa.compress(adapter, adapter.parent / "out", preset="half")
    other = adapter.parent / "other"
    shutil.copytree(adapter, other)
    prensa.compress(adapter, other, preset="half", force=True)
    for output in (adapter.parent / "out", other):
        assert not [path.name for path in output.iterdir() if "adapter" in path.name]
        torch.testing.assert_close(answers(output), trained[1], atol=0.01, rtol=0.01)


def test_a_pickled_adapter(trained, adapter):
    from safetensors.torch import load_file

    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    torch.testing.assert_close(answers(adapter), trained[1])


def test_a_vocabulary_that_grew_is_the_adapters(trained, tmp_path):
    model = transformers.AutoModel.from_pretrained(trained[0] / "base")
    model.resize_token_embeddings(170)
    settings = peft.LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=["query"], r=2)
    adapted = peft.get_peft_model(model, settings)
    adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    found = prensa.load(tmp_path / "adapter").get_input_embeddings().weight
    torch.testing.assert_close(found, model.get_input_embeddings().weight)


def without_weights(adapter):
    (adapter / "adapter_model.safetensors").unlink()


def damaged(adapter):
    (adapter / "adapter_model.safetensors").write_bytes(b"x" * 100)


def without_base(adapter):
    change(adapter, base_model_name_or_path="/nowhere/at/all")


def nameless(adapter):
    change(adapter, base_model_name_or_path=None)


def of_itself(adapter):
    change(adapter, base_model_name_or_path=str(adapter))


def of_other_layers(adapter):
    change(adapter, target_modules=["key"])


def of_more_layers(adapter):
    change(adapter, target_modules=["query", "value", "key"])


def unreadable(adapter):
    (adapter / "adapter_config.json").write_text("{")


def of_no_kind(adapter):
    (adapter / "adapter_config.json").write_text("{}")


def unknown(adapter):
    change(adapter, peft_type="TELEPATHY")


def of_prompts(adapter):
    settings = {"peft_type": "PROMPT_TUNING", "task_type": "SEQ_CLS", "num_virtual_tokens": 4}
    base = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": base}))


def of_megatron(adapter):
    change(adapter, megatron_config={"a": 1}, megatron_core="antigravity")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_weights, r"adapter_config.json without weights, expected adapter_model.safetensors"),
        (damaged, "not the weights of an adapter"),
        (without_base, "the base model of the adapter was not found .*no such directory"),
        (nameless, "no base model; put its path"),
        (of_itself, "no base model; put its path"),
        (of_other_layers, "that adapter_config.json requires are missing"),
        (of_more_layers, "that adapter_config.json requires are missing"),
        (unreadable, "not readable as JSON"),
        (of_no_kind, "found no peft_type"),
        (unknown, r"peft cannot merge this adapter \(TELEPATHY"),
        (of_prompts, "PROMPT_TUNING puts learned vectors before each text"),
        (of_megatron, "an adapter of Megatron"),
    ],
)
def test_what_cannot_be_merged(adapter, spoil, message):
    spoil(adapter)
    with pytest.raises(ModelError, match=message) as refused:
        locate(adapter)
    assert "\n" not in str(refused.value)
    assert str(adapter) in str(refused.value)


def test_a_quantized_base_is_named(trained, adapter, tmp_path):
    shutil.copytree(trained[0] / "base", tmp_path / "base")
    change_config(
        tmp_path / "base", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}
    )
    change(adapter, base_model_name_or_path=str(tmp_path / "base"))
    with pytest.raises(ModelError, match=r"base model is quantized \(bitsandbytes\)"):
        locate(adapter)


def test_without_peft_one_line_says_how_to_get_it(adapter, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError, match=r"needs peft, not installed here; run pip install 'prensa\[peft\]'"
    ):
        locate(adapter)


def test_the_merged_model_goes_when_the_process_ends(adapter, monkeypatch):
    registered = []
    monkeypatch.setattr("atexit.register", lambda *call: registered.append(call))
    adapters._merged.cache_clear()
    directory = locate(adapter)
    # Libraries that are imported meanwhile register their own.
    owner, place = next(given for function, *given in registered if function is remove_as)
    monkeypatch.setattr("os.getpid", lambda: owner + 1)
    remove_as(owner, place)
    assert directory.is_dir()  # a forked child does not take it from its parent
    monkeypatch.undo()
    remove_as(owner, place)
    assert not directory.exists()
    adapters._merged.cache_clear()
