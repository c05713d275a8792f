import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from quantization_code import apply_quantization
from safetensors.torch import load_file
from tests.calibration.test_collect import ARCHITECTURES
from tests.conftest import add_tokenizer, directory_bytes

import prensa
from prensa.checkpoint.manifest import load_manifest
from prensa.classic import optimize
from prensa.errors import MissingPackageError
from prensa.ops.sparsity import count_zeros

SCRIPT = Path(__file__).parents[2] / "quantization_code.py"


@pytest.fixture
def bnb():
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")


def passes(directory):
    return {step.name for report in load_manifest(directory).tensors for step in report.passes}


def test_the_classic_signature():
    defaults = {name: each.default for name, each in inspect.signature(apply_quantization).parameters.items()}
    assert defaults == {
        "model_path": inspect.Parameter.empty,
        "output_path": None,
        "pruning": True,
        "pruning_amount": 0.3,
        "use_bnb": True,
        "compress": True,
        "threshold": 1e-3,
        "texts": None,
    }


def test_everything_that_the_classic_tool_left(model, tmp_path, bnb):
    (model / "tokenizer.json").write_text("{}")
    returned = apply_quantization(model, tmp_path / "out")
    assert passes(tmp_path / "out") == {"half", "prune", "threshold", "quantize"}
    assert {"model.safetensors", "model_optimized.pt", "config.json", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    state = torch.load(tmp_path / "out" / "model_optimized.pt", weights_only=True)
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[name], stored[name]) for name in stored)
    assert type(returned).__name__ == "DebertaV2ForSequenceClassification"
    logits = returned(torch.arange(2, 10).reshape(1, 8)).logits
    original = prensa.load(model)(torch.arange(2, 10).reshape(1, 8)).logits
    assert torch.allclose(logits.float(), original, atol=0.2)


def test_without_bnb_the_result_is_a_float16_model(model, tmp_path):
    returned = apply_quantization(model, tmp_path / "out", use_bnb=False)
    assert returned.dtype == torch.float16
    assert "quantization_config" not in (tmp_path / "out" / "config.json").read_text()
    weight = returned.deberta.encoder.layer[0].intermediate.dense.weight
    assert count_zeros(weight.detach()) >= round(0.3 * weight.numel())


def test_the_output_defaults_to_the_model(model):
    apply_quantization(model, use_bnb=False)
    assert passes(model) == {"half", "prune", "threshold"}
    assert prensa.load(model).dtype == torch.float16


def test_techniques_can_be_switched_off(model, tmp_path):
    apply_quantization(model, tmp_path / "out", pruning=False, use_bnb=False, compress=False)
    assert passes(tmp_path / "out") == {"half"}


def test_missing_bitsandbytes_is_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'prensa\[bitsandbytes\]'"):
        apply_quantization(tmp_path / "no such model")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--use_bnb", "False"], {"half", "prune", "threshold"}),
        (["--use_bnb=no", "--pruning", "--compress", "True"], {"half", "prune", "threshold"}),
        (["--no-use_bnb", "--no-pruning", "--compress"], {"half", "threshold"}),
        (["--use_bnb", "0", "--pruning", "false", "--compress", "FALSE"], {"half"}),
    ],
)
def test_booleans_take_every_spelling(model, tmp_path, arguments, expected, capsys):
    optimize.main(["--model_path", str(model), "--output_path", str(tmp_path / "out"), *arguments])
    assert passes(tmp_path / "out") == expected
    assert "DebertaV2ForSequenceClassification" in capsys.readouterr().out


def test_numbers_arrive(model, tmp_path):
    arguments = ["--pruning_amount", "0.5", "--threshold", "0.01", "--use_bnb", "False"]
    optimize.main(["--model_path", str(model), "--output_path", str(tmp_path / "out"), *arguments])
    recipe = prensa.load_recipe(tmp_path / "out" / "recipe.toml")
    assert (recipe.passes[1].amount, recipe.passes[2].threshold) == (0.5, 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --model_path"),
        (["--model_path", "m", "--pruning", "maybe"], "expected True or False, found 'maybe'"),
        (["--model_path", "m", "--pruning_amount", "x"], "invalid float value"),
        (["--model_path", "/no/model", "--use_bnb", "False"], "no such directory to replace"),
        (
            ["--model_path", "/no/model", "--output_path", "o", "--use_bnb", "False"],
            "/no/model: no such directory",
        ),
        (["--model_path", "someone/model", "--use_bnb", "False"], "give an output path"),
        (["--model_path", "/no/model", "--use_bnb", "False", "--pruning_amount", "2"], "from 0 to 0.9"),
        (["--model_path", "/no/model", "--use_bnb", "False", "--threshold", "nan"], "from 0 to 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        optimize.main(arguments)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_the_script_itself(model, tmp_path):
    command = [
        sys.executable,
        str(SCRIPT),
        "--model_path",
        str(model),
        "--output_path",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, "--use_bnb", "False"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"written to {tmp_path / 'out'}\n")
    assert "model.safetensors" in directory_bytes(tmp_path / "out")


def test_with_texts_the_same_files_are_chosen_better(original, tmp_path, bnb):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a b c {number}\n" for number in range(40)))
    apply_quantization(original, tmp_path / "plain")
    returned = apply_quantization(original, tmp_path / "out", texts=texts)
    assert passes(tmp_path / "out") == {"half", "sparsegpt", "threshold", "gptq"}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {path.name for path in (tmp_path / "plain").iterdir()}
    found, plain = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "plain"))
    assert {n: (w.dtype, w.shape) for n, w in found.items()} == {
        n: (w.dtype, w.shape) for n, w in plain.items()
    }
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    batch = tokenizer(texts.read_text().splitlines(), padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = prensa.load(original)(**batch).logits
        errors = [
            float((model(**batch).logits.float() - expected).abs().mean())
            for model in (returned, prensa.load(tmp_path / "plain"))
        ]
    assert errors[0] < errors[1]


KEPT_PLAIN = {"distilbert": "pre_classifier", "t5": "wo"}
"""Linear layers that transformers does not turn into 8-bit ones, whatever the recipe says."""


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_every_architecture_answers(family, tmp_path, bnb):
    """What apply_quantization returns has answered a text already; here all of its layers are looked at."""
    torch.manual_seed(0)
    ARCHITECTURES[family]().eval().save_pretrained(tmp_path / "model")
    loaded = apply_quantization(add_tokenizer(tmp_path / "model"), tmp_path / "out")
    linear = {name: module for name, module in loaded.named_modules() if isinstance(module, torch.nn.Linear)}
    plain = {name for name, module in linear.items() if type(module) is torch.nn.Linear}
    stored = load_file(tmp_path / "out" / "model.safetensors")
    eight_bit = {name.removesuffix(".SCB") for name in stored if name.endswith(".SCB")}
    assert len(eight_bit) == len(linear) - len(plain)
    if family in KEPT_PLAIN:
        assert any(name.endswith(KEPT_PLAIN[family]) for name in plain)
