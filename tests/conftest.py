"""Tiny random models, built in-process, and the real ones where ``PRENSA_SHARED`` has them."""

import json
import os
import signal
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

import prensa

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where tests run in the background Ctrl-C is ignored, and it would be by the processes that tests stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}


def _deberta():
    config = transformers.DebertaV2Config(
        vocab_size=200,
        relative_attention=True,
        position_buckets=8,
        max_position_embeddings=32,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        **SIZES,
    )
    return transformers.DebertaV2ForSequenceClassification(config)


def _bert():
    return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=160, **SIZES))


def _gpt2():
    config = transformers.GPT2Config(vocab_size=160, n_embd=48, n_layer=2, n_head=4, n_positions=32)
    return transformers.GPT2LMHeadModel(config)


def _llama():
    config = transformers.LlamaConfig(
        vocab_size=160, num_key_value_heads=2, tie_word_embeddings=False, **SIZES
    )
    return transformers.LlamaForCausalLM(config)


FAMILIES = {"deberta": _deberta, "bert": _bert, "gpt2": _gpt2, "llama": _llama}


def build_model(family: str, directory: Path, dtype: torch.dtype = torch.float32, **saving) -> Path:
    torch.manual_seed(0)
    model = FAMILIES[family]().to(dtype).eval()
    for parameter in model.parameters():  # heavier than the initial 0.02, so that int8 has work to do
        if parameter.dim() == 2:
            parameter.data *= 3
    model.save_pretrained(directory, **saving)
    return directory


def add_tokenizer(directory: Path, *, marks: bool = True) -> Path:
    """Give a model a tokenizer with a piece for each printable character, [CLS] and [SEP] around a text."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {
        piece: index for index, piece in enumerate(special + [chr(code) for code in range(33, 127)])
    }
    pieces = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.WhitespaceSplit(),
            tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated"),
        ]
    )
    if marks:
        pieces.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, **dict(zip(names, special, strict=True))
    ).save_pretrained(directory)
    return directory


@pytest.fixture(params=sorted(FAMILIES))
def any_model(request, tmp_path) -> Path:
    return build_model(request.param, tmp_path / "model")


@pytest.fixture
def model(tmp_path) -> Path:
    """A tiny DeBERTa classifier in float32."""
    return build_model("deberta", tmp_path / "model")


@pytest.fixture
def original(tmp_path) -> Path:
    """A tiny DeBERTa classifier with a tokenizer."""
    return add_tokenizer(build_model("deberta", tmp_path / "original"))


@pytest.fixture
def pressed(original, tmp_path) -> Path:
    """What the preset ``classic`` makes of it."""
    prensa.compress(original, tmp_path / "pressed", recipe="classic")
    return tmp_path / "pressed"


@pytest.fixture
def quick(monkeypatch):
    """Let evaluations measure seldom, and memory not at all."""
    from prensa.evaluation import bootstrap, memory, speed
    from prensa.evaluation.results import Memory

    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    monkeypatch.setattr(speed, "_FEWEST", 3)
    monkeypatch.setattr(speed, "_FEWEST_OF_BATCHES", 2)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    monkeypatch.setattr(memory, "measure_memory", lambda job: Memory((0.1, 0.2, 0.3), 100, 200, None))


@pytest.fixture
def texts(tmp_path) -> Path:
    """Ninety labelled texts for the tokenizer of ``add_tokenizer``."""
    path = tmp_path / "texts.csv"
    letters = "abcdefghij"
    rows = [f"{letters[n % 10]} {letters[n % 7] * 3} {n},LABEL_{n % 2}" for n in range(90)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr("prensa.evaluation.bootstrap.RESAMPLES", 20)


def change_weights(directory: Path, change) -> None:
    """Rewrite the safetensors file of a model after ``change(tensors)``."""
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def change_config(directory: Path, **entries) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def directory_bytes(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def leftovers(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.name.startswith(".")]


@pytest.fixture(scope="session")
def shared() -> Path:
    path = Path(os.environ.get("PRENSA_SHARED", "../shared"))
    if not (path / "models").is_dir():
        pytest.skip(f"no real models at {path}; set PRENSA_SHARED")
    return path
