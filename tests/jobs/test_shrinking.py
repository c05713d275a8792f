"""Compressions that shrink first, on a tiny BERT and by a clock that counts parameters: real times are noisy."""

import subprocess
import sys

import pytest
import torch
import transformers
from tests.conftest import add_tokenizer, directory_bytes, leftovers

import prensa
from prensa.checkpoint.card import CARD_FILE
from prensa.checkpoint.manifest import load_manifest
from prensa.checkpoint.shrunk import is_uneven
from prensa.checkpoint.structure import structure_of
from prensa.errors import DataError, RecipeError, SettingError
from prensa.healing.settings import Heal
from prensa.pressing.recipe import Changes, adjusted, load_preset, load_recipe, parse_recipe
from prensa.serving.stopwatch import Stopwatch
from prensa.shrink.plan import plan_shrinking
from prensa.shrink.settings import Shrink
from prensa.texts.library import Library
from prensa.texts.source import Source

INT8 = {"preset": "int8"}
PLAIN = {"preset": "half", "format": "plain"}


def seconds(_, models):
    """Take as long as a model's layers have parameters, and a little more."""
    times = []
    for model in models:
        weights = sum(weight.numel() for weight in model.bert.encoder.layer.parameters())
        times.append(1e-3 + 1e-6 * weights)
    return times


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(Stopwatch, "seconds", seconds)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny BERT classifier of four layers, whose heads and neurons do not weigh the same. Not to be changed."""
    directory = tmp_path_factory.mktemp("bert") / "model"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=160,
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=32,
    )
    model = transformers.BertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data *= 3
    model.save_pretrained(directory)
    return add_tokenizer(directory)


@pytest.fixture
def lines(tmp_path):
    """Eighty different short texts."""
    rows = [f"{'abcdefghij'[n % 10]} {'klmnopq'[n % 7] * 3} {n},LABEL_{n % 2}" for n in range(80)]
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def many(tmp_path):
    """Texts to learn from, all of them different."""
    path = tmp_path / "many.csv"
    rows = [f"{'abcdefghij'[n % 10]} {'klm'[n % 3] * (n % 5 + 1)} {n},LABEL_{n % 2}" for n in range(240)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def answers(model, directory):
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    inputs = tokenizer(["a b c", "k 7"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model.eval()(**inputs).logits


def test_a_packed_result_has_uneven_widths_and_answers_alike(made, lines, tmp_path):
    result = prensa.compress(made, tmp_path / "out", texts=lines, faster=1.3, **INT8)
    assert result.held
    report = result.manifest.shrink
    assert report == load_manifest(tmp_path / "out").shrink
    assert is_uneven(report)
    assert report.layers_before == 4
    assert (report.wanted, report.texts, report.distilled) == (1.3, "lines.csv", None)
    assert 1.3 * 0.98 <= report.faster < 2
    assert report.where.startswith("torch float32, ")
    assert report.fitted + 20 == 80  # the others are kept apart

    small = prensa.load(tmp_path / "out")
    original = prensa.load(made)
    before, after = seconds(None, [original, small])
    assert before / after == pytest.approx(report.faster)
    for part in report.parts:
        layer = small.bert.encoder.layer[report.layers.index(part.layer)]
        if part.kind == "neurons":
            assert layer.intermediate.dense.out_features == len(part.kept)
        else:
            assert layer.attention.self.num_attention_heads == len(part.kept)
    # Fitted on texts like these, it is nearer to the original than one that answers with the mean.
    expected = answers(original, made)
    spread = (expected - expected.mean(dim=0)).square().sum()
    assert (answers(small, tmp_path / "out") - expected).square().sum() < spread
    assert not leftovers(tmp_path)


def test_a_plain_result_is_even_and_loads_with_transformers_alone(made, lines, tmp_path):
    result = prensa.compress(made, tmp_path / "out", texts=lines, faster=1.3, **PLAIN)
    report = result.manifest.shrink
    assert not is_uneven(report)
    widths = {len(part.kept) for part in report.parts}
    assert {part.kind for part in report.parts} == {"neurons"}
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert structure_of(config) is None
    assert {config.intermediate_size} == widths
    assert config.num_hidden_layers == len(report.layers)
    expected = answers(prensa.load(tmp_path / "out", dtype=torch.float32), tmp_path / "out")
    program = (
        "import sys, torch, transformers\n"
        f"path = {str(tmp_path / 'out')!r}\n"
        "model, info = transformers.AutoModelForSequenceClassification.from_pretrained(\n"
        "    path, dtype=torch.float32, output_loading_info=True)\n"
        "assert not any(info.values()), info\n"
        "inputs = transformers.AutoTokenizer.from_pretrained(path)(\n"
        "    ['a b c', 'k 7'], padding=True, return_tensors='pt')\n"
        "assert 'prensa' not in sys.modules\n"
        "print(model.eval()(**inputs).logits.tolist())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert torch.allclose(torch.tensor(eval(run.stdout)), expected, atol=1e-5)
    text = (tmp_path / "out" / CARD_FILE).read_text()
    assert "`transformers` loads it without Prensa" in text
    assert "import prensa" not in text


def test_layers_alone_can_go(made, lines, tmp_path):
    shrink = Shrink(faster=1.5, neurons=False, heads=False)
    result = prensa.compress(made, tmp_path / "out", texts=lines, shrink=shrink, **PLAIN)
    report = result.manifest.shrink
    assert len(report.layers) < 4
    assert report.parts == ()
    assert prensa.load(tmp_path / "out").config.num_hidden_layers == len(report.layers)


def test_a_speed_that_nothing_reaches_writes_nothing(made, lines, tmp_path):
    result = prensa.compress(made, tmp_path / "out", texts=lines, faster="90x", **INT8)
    assert not result.held
    assert result.manifest is None
    assert result.unreached.startswith("Not reached: 90.00 times as fast. The fastest structure is ")
    assert "Nothing was written." in result.unreached
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


def test_how_much_must_be_said(made, lines, tmp_path):
    with pytest.raises(SettingError, match=r"`shrink` needs a speed .* or a budget of quality"):
        prensa.compress(made, tmp_path / "out", texts=lines, shrink=True)
    with pytest.raises(SettingError, match="`shrink` needs a speed"):
        prensa.compress(made, tmp_path / "out", texts=lines, shrink=True, max_size="50%")


def test_few_texts_are_refused(made, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("text\n" + "\n".join(f"a {n}" for n in range(20)) + "\n")
    with pytest.raises(DataError, match=r"few\.csv: 20 texts, 20 of them different, are too few to shrink"):
        prensa.compress(made, tmp_path / "out", texts=few, faster=2)
    same = tmp_path / "same.csv"
    same.write_text("text\n" + "a b\n" * 80)
    with pytest.raises(DataError, match=r"80 texts, 1 of them different"):
        prensa.compress(made, tmp_path / "out", texts=same, faster=2)
    assert not (tmp_path / "out").exists()


def test_a_format_without_structure_needs_something_that_may_go(made, lines, tmp_path):
    shrink = Shrink(faster=2, neurons=False, layers=False)
    with pytest.raises(RecipeError, match="nothing is left that may be taken away"):
        prensa.compress(made, tmp_path / "out", texts=lines, shrink=shrink, **PLAIN)


def test_what_does_not_go_together(made, lines, tmp_path):
    with pytest.raises(SettingError, match="`distill` needs `shrink` or `faster`"):
        prensa.compress(made, tmp_path / "out", texts=lines, distill="1min")
    with pytest.raises(SettingError, match="`unchecked`"):
        prensa.compress(made, tmp_path / "out", faster=2, unchecked=True)


def test_a_budget_decides_how_much_goes(made, lines, tmp_path, few_resamples):
    result = prensa.compress(made, tmp_path / "out", texts=lines, shrink=True, min_agreement=0.5, **INT8)
    assert result.held
    assert result.manifest.shrink.wanted >= 1.25
    assert result.manifest.shrink.faster > 1.2


def test_a_budget_at_a_given_speed_is_kept_by_the_noise(made, lines, tmp_path, few_resamples):
    budget = {"faster": 1.3, "min_agreement": 0.5}
    result = prensa.compress(made, tmp_path / "out", texts=lines, **budget)
    assert result.held
    assert result.outcome.winner is not None
    assert result.manifest.shrink.wanted == 1.3


def test_a_budget_is_judged_without_a_noise_to_search(made, lines, tmp_path, few_resamples):
    kept = prensa.compress(made, tmp_path / "out", texts=lines, faster=1.3, min_agreement=0.3, **INT8)
    assert kept.held
    assert kept.manifest.shrink.wanted == 1.3
    large = {"faster": 1.3, "max_size": "1%", "min_agreement": 0.3}
    missed = prensa.compress(made, tmp_path / "missed", texts=lines, **large, **INT8)
    assert not missed.held
    assert "Not reached" in missed.unreached
    assert not (tmp_path / "missed").exists()
    assert not leftovers(tmp_path)


def test_a_shrunk_model_is_healed_too(made, many, tmp_path):
    pytest.importorskip("accelerate")
    settings = {"preset": "small", "noise": 1.0, "faster": 1.3, "texts": many}
    plain = prensa.compress(made, tmp_path / "plain", **settings).manifest
    heal = Heal(steps=8, learning_rate=1e-2)
    manifest = prensa.compress(made, tmp_path / "out", heal=heal, **settings).manifest
    assert manifest.shrink == plain.shrink
    assert plain.heal is None
    assert manifest.heal.kept
    assert manifest.heal.loss_after < 0.95 * manifest.heal.loss_before
    # What learns is stored already: nothing is added.
    assert manifest.nbytes < 1.02 * plain.nbytes
    healed = prensa.load(tmp_path / "out", dtype="float32")
    assert not torch.equal(
        answers(healed, made), answers(prensa.load(tmp_path / "plain", dtype="float32"), made)
    )
    assert not leftovers(tmp_path)


def test_a_recipe_survives_toml():
    recipe = adjusted(load_preset("half"), Changes(shrink=Shrink(2.5, neurons=False, texts=99, distill=90.0)))
    assert parse_recipe(recipe.to_toml(), "here") == recipe
    plain = load_preset("half")
    assert "shrink" not in plain.to_toml()
    assert parse_recipe(plain.to_toml(), "here").shrink is None


def test_the_recipe_of_a_result_gives_the_same_bytes(made, lines, tmp_path):
    prensa.compress(made, tmp_path / "one", texts=lines, faster=1.3, **INT8)
    recipe = tmp_path / "one" / "recipe.toml"
    assert load_recipe(recipe).shrink == Shrink(faster=1.3)
    prensa.compress(made, tmp_path / "two", texts=lines, recipe=recipe)
    assert directory_bytes(tmp_path / "one") == directory_bytes(tmp_path / "two")


def test_a_size_is_a_share_of_the_original(made, lines, tmp_path, few_resamples):
    result = prensa.compress(made, tmp_path / "out", texts=lines, faster=1.3, max_size="30%")
    before = (made / "model.safetensors").stat().st_size
    assert result.held
    assert result.outcome.nbytes_before == result.manifest.nbytes_before == pytest.approx(before, rel=0.05)
    # The smallest noise keeps it: of the shrunk model's bytes 30 % would be less.
    assert 0.2 * before < result.manifest.nbytes <= 0.3 * result.manifest.nbytes_before


def test_how_many_calibrate_says_nothing_of_what_is_learnt_from(made, many, tmp_path):
    pytest.importorskip("accelerate")
    settings = Shrink(faster=1.3, distill=60.0)
    source = Source(many, limit=64)
    plan = plan_shrinking(made, settings, source, even=False, library=Library())
    assert len(plan.distillation.encoded.rows) == 240


def test_a_budget_is_not_judged_by_what_was_learnt(made, many, tmp_path):
    pytest.importorskip("accelerate")
    settings = {"faster": 1.3, "distill": "1min", "min_agreement": 0.5}
    with pytest.raises(
        DataError, match=r"without the .* texts that the budget is judged by.*leave `distill`"
    ):
        prensa.compress(made, tmp_path / "out", data=many, **settings, **INT8)
