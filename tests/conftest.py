"""Tiny random models, built in-process, and the real ones where ``PRENSA_SHARED`` has them.

``PRENSA_TEST_PROCESSOR`` has Prensa take the processor for one with these instructions: ``avx2`` (8-bit products
overflow), ``vnni`` (they do not) or ``bf16`` (that multiplies bfloat16, too). Tests pass with each of them.
"""

import json
import logging
import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

import prensa
from prensa.checkpoint.effects import GRAPHS
from prensa.example.demo import run_demo
from prensa.runtime import gain, processor
from prensa.serving import export as exporter
from prensa.serving.exported import TOLERANCES, read_record
from prensa.serving.program import Program
from prensa.serving.quantized_share import Written
from prensa.serving.runtimes import RUNTIMES

# Where tests run in the background Ctrl-C is ignored, and it would be by the processes that tests stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
# pytest listens to loggers that do not propagate; to this one, torch.export then writes long records.
logging.getLogger("torch.__trace").propagate = True

# The same examples everywhere, however long they take.
hypothesis.settings.register_profile(
    "prensa",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("prensa")

PROCESSORS = {
    "avx2": ["avx2"],
    "vnni": ["avx2", "avx512_vnni"],
    "bf16": ["avx2", "avx512_vnni", "avx512_bf16"],
}

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that need real models: ``make claims`` runs them."""
    for item in items:
        if "shared" in item.fixturenames:
            item.add_marker(pytest.mark.claims)


@pytest.fixture(scope="session", autouse=True)
def machine():
    """Hide what only some machines have: an accelerator, a clock by which folding is slower, and what ``PRENSA_TEST_PROCESSOR`` leaves out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        # The clock would decide which products a test sees; those that are about it set their own.
        patch.setattr(gain, "in_turns", lambda works, seconds: [2.0, 1.0])
        if "PRENSA_TEST_PROCESSOR" in os.environ:
            flags = PROCESSORS[os.environ["PRENSA_TEST_PROCESSOR"]]
            patch.setattr(processor, "cpu_flags", lambda: flags)
        yield


def _state():
    """What a test must not change for those after it."""
    environment = {f"${name}": text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return environment | {
        "working directory": Path.cwd(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "logging": logging.root.manager.disable,
    }


@pytest.fixture(autouse=True)
def isolated():
    """Start from the same random numbers, whatever ran before, and leave nothing behind."""
    torch.manual_seed(0)
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    before = _state()
    yield
    for each, handler in handlers.items():  # commands set them, also where a test runs one in this process
        signal.signal(each, handler)
    after = _state()
    changed = {name: after.get(name) for name in before if before[name] != after.get(name)}
    assert changed == {}  # what is new was set by a library that was imported


@pytest.fixture(params=sorted(FAMILIES))
def any_model(request, tmp_path) -> Path:
    return build_model(request.param, tmp_path / "model")


@pytest.fixture
def model(tmp_path) -> Path:
    """A tiny DeBERTa classifier in float32."""
    return build_model("deberta", tmp_path / "model")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """What ``original`` is a copy of: for fixtures that outlive a test, and not to be changed."""
    return add_tokenizer(build_model("deberta", tmp_path_factory.mktemp("tiny") / "original"))


@pytest.fixture(scope="session")
def tiny_pressed(tiny) -> Path:
    """What ``pressed`` is a copy of."""
    prensa.compress(tiny, tiny.parent / "pressed", preset="classic")
    return tiny.parent / "pressed"


@pytest.fixture(scope="session")
def exports(tiny):
    """Export the tiny model for a runtime in a precision, once. What is returned is not to be changed."""
    lines = [f"{'abcdefghij'[n % 10]} {n}" for n in range(24)]
    (tiny.parent / "few.csv").write_text("\n".join(["text", *lines]) + "\n")

    def export(to: str, precision: str) -> Path:
        place = tiny.parent / f"{to}-{precision}"
        if not place.exists():
            with pytest.MonkeyPatch.context() as patch:
                for each in ("fp16", "bf16", "int8", "int4"):
                    patch.setitem(TOLERANCES, each, 10)  # random weights suffer more than trained ones
                prensa.export(tiny, place, to=to, precision=precision, texts=tiny.parent / "few.csv")
        return place

    return export


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory):
    """Where the built-in example was pressed with every preset, and what came out. Not to be changed."""
    place = tmp_path_factory.mktemp("demonstration")
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return place, run_demo(place)


def build_mixing(family: str, path: Path) -> transformers.PreTrainedModel:
    """Save a classifier of a family that mixes padding in (``FNet``, ``ConvBert``), and return it."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=200, tpu_short_seq_length=64, **SIZES)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    # Random weights say little; these make what is mixed in count.
    last = model.classifier if family == "FNet" else model.classifier.out_proj
    with torch.no_grad():
        last.weight.mul_(100)
    model.save_pretrained(path)
    add_tokenizer(path)
    return model


@pytest.fixture
def converted(exports, monkeypatch):
    """Have exports of the tiny model take the graph of an earlier one: tracing and converting takes seconds."""

    def converted(to: str, precision: str) -> None:
        place = exports(to, precision)
        record = read_record(place)
        program = Program(None, record.inputs, (record.output,))

        def write(program, directory, *_, **__):
            for path in filter(Path.is_file, place.rglob("*")):
                if path.suffix in GRAPHS:
                    (directory / path.relative_to(place)).parent.mkdir(exist_ok=True)
                    shutil.copy(path, directory / path.relative_to(place))
            return Written()

        monkeypatch.setattr(exporter, "trace", lambda *_, **__: program)
        monkeypatch.setattr(RUNTIMES[to], "write", write)

    return converted


@pytest.fixture
def original(tiny, tmp_path) -> Path:
    """A tiny DeBERTa classifier with a tokenizer."""
    return Path(shutil.copytree(tiny, tmp_path / "original"))


@pytest.fixture
def pressed(original, tiny_pressed, tmp_path) -> Path:
    """What the preset ``classic`` makes of it."""
    return Path(shutil.copytree(tiny_pressed, tmp_path / "pressed"))


@pytest.fixture
def quick(monkeypatch):
    """Let evaluations measure seldom, and memory not at all."""
    hurry(monkeypatch)


def hurry(monkeypatch):
    from prensa.evaluation import bootstrap, memory, speed
    from prensa.evaluation.results import Memory

    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    monkeypatch.setattr(speed, "_FEWEST", 3)
    monkeypatch.setattr(speed, "_FEWEST_OF_BATCHES", 2)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    monkeypatch.setattr(memory, "memory_of", lambda job: Memory((0.1, 0.2, 0.3), 100, 200, None))


@pytest.fixture
def texts(tmp_path) -> Path:
    """Ninety labelled texts for the tokenizer of ``add_tokenizer``."""
    path = tmp_path / "texts.csv"
    letters = "abcdefghij"
    rows = [f"{letters[n % 10]} {letters[n % 7] * 3} {n},LABEL_{n % 2}" for n in range(90)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def few_texts(tmp_path) -> Path:
    """As many as an export needs at least, which answers every one of them."""
    path = tmp_path / "few.csv"
    path.write_text("text,label\na b,LABEL_0\nc,LABEL_1\nd d d,LABEL_0\nx y,LABEL_1\n")
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
