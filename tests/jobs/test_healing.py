"""Compressions whose result learns before it is put in place, on a tiny BERT classifier."""

import csv
import json
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors import safe_open
from tests.bert import bert
from tests.conftest import directory_bytes, leftovers

import prensa
from prensa.checkpoint.card import CARD_FILE
from prensa.checkpoint.manifest import load_manifest
from prensa.codecs.container import unpack
from prensa.codecs.layout import SUFFIX
from prensa.errors import DataError, FormatError, RecipeError, SettingError
from prensa.healing import plan as healing_plan
from prensa.healing.plan import plan_healing
from prensa.healing.settings import Heal, heal_from
from prensa.healing.write import write_changed
from prensa.jobs.healing import lessons_path
from prensa.ops.affine import Quantized
from prensa.pressing.recipe import parse_recipe
from prensa.texts.library import Library

pytest.importorskip("accelerate")

FEW = Heal(steps=8, learning_rate=1e-2)
# So coarse that there is something to make good.
SMALL = {"preset": "small", "noise": 1.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny classifier of four classes. Not to be changed."""
    return bert(tmp_path_factory.mktemp("bert") / "model", "BertForSequenceClassification", num_labels=4)


@pytest.fixture
def many(tmp_path):
    lines = [f"{'abcdefghij'[n % 10]} {'klm'[n % 3] * (n % 5 + 1)} {n},LABEL_{n % 4}" for n in range(240)]
    path = tmp_path / "many.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


@pytest.fixture
def others(tmp_path):
    lines = [f"{'bcdefghija'[n % 10]} {'xyz'[n % 3] * (n % 4 + 1)} {n},LABEL_{n % 4}" for n in range(120)]
    path = tmp_path / "others.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def integers(directory):
    """Return the bytes of each matrix of integers, and the scales beside them."""
    manifest = load_manifest(directory)
    values, scales = {}, {}
    with safe_open(directory / "model.safetensors", framework="pt") as tensors:
        for report in manifest.tensors:
            if report.name + SUFFIX in tensors.keys():  # noqa: SIM118  no dictionary
                value = unpack(tensors.get_tensor(report.name + SUFFIX).numpy(), report.shape)
                if isinstance(value, Quantized):
                    values[report.name] = value.values.numpy().tobytes()
                    scales[report.name] = value.scale
    return values, scales


def distance(original, directory, texts):
    """Return the divergence of a result's answers from its original's, in nats."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    with texts.open() as file:
        lines = [row["text"] for row in csv.DictReader(file)]
    inputs = tokenizer(lines, padding=True, return_tensors="pt")
    answers = []
    with torch.no_grad():
        for place in (directory, original):
            model = prensa.load(place, dtype="float32")
            answers.append(model(**inputs).logits.log_softmax(-1))
    return torch.nn.functional.kl_div(*answers, log_target=True, reduction="batchmean")


def test_a_healed_result_has_the_same_integers_and_answers_better(made, many, tmp_path):
    prensa.compress(made, tmp_path / "pressed", texts=many, **SMALL)
    result = prensa.compress(made, tmp_path / "out", texts=many, heal=FEW, **SMALL)
    report = result.manifest.heal
    assert report == load_manifest(tmp_path / "out").heal
    assert report.kept
    assert report.loss_after < 0.95 * report.loss_before
    assert (report.steps, report.source, report.texts) == (8, "many.csv", 220)
    assert (report.stopped, report.broken) == (False, False)
    before, after = integers(tmp_path / "pressed"), integers(tmp_path / "out")
    assert before[0] == after[0]
    changed = [name for name in before[1] if not torch.equal(before[1][name], after[1][name])]
    assert any("attention" in name for name in changed)
    assert not any("embeddings" in name for name in changed)
    # A few bits for each row, and nothing else.
    grown = result.manifest.nbytes - report.nbytes_before
    assert grown <= sum(len(after[1][name]) for name in changed)
    assert (tmp_path / "out" / "model.safetensors").stat().st_size == result.manifest.nbytes
    assert not leftovers(tmp_path)

    # What is loaded is what was measured: nearer to the original than before.
    away = [distance(made, tmp_path / name, many) for name in ("pressed", "out")]
    assert away[1] < 0.95 * away[0]
    card = (tmp_path / "out" / CARD_FILE).read_text()
    assert "## Healing" in card
    assert "learnt for 8 steps" in card
    errors = {each.name: each.relative_squared_error for each in result.manifest.tensors}
    assert all(0 < errors[name] < 2 for name in changed)


def test_the_same_steps_give_the_same_bytes(made, many, tmp_path):
    for name in ("one", "two"):
        prensa.compress(made, tmp_path / name, texts=many, heal=FEW, **SMALL)
    one, two = directory_bytes(tmp_path / "one"), directory_bytes(tmp_path / "two")
    assert one["model.safetensors"] == two["model.safetensors"]
    manifests = [json.loads(each["manifest.json"]) for each in (one, two)]
    for manifest in manifests:
        del manifest["heal"]["seconds"]
    assert manifests[0] == manifests[1]


def test_the_recipe_of_a_result_heals_it_again(made, many, tmp_path):
    prensa.compress(made, tmp_path / "out", texts=many, heal=FEW, **SMALL)
    prensa.compress(made, tmp_path / "again", texts=many, recipe=tmp_path / "out" / "recipe.toml")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        tmp_path / "again" / "model.safetensors"
    ).read_bytes()


def test_a_trimmed_vocabulary_learns_in_its_own_tokens(made, many, tmp_path):
    trim = prensa.TrimVocabulary()
    result = prensa.compress(made, tmp_path / "out", texts=many, trim_vocabulary=trim, heal=FEW, **SMALL)
    assert len(result.manifest.vocabulary.kept) < 200
    assert result.manifest.heal.kept
    assert result.manifest.heal.loss_after < result.manifest.heal.loss_before
    assert not leftovers(tmp_path)


def test_a_budget_is_kept_by_what_was_healed(made, many, others, tmp_path, few_resamples):
    data = prensa.Source(others, label_column="label")
    result = prensa.compress(
        made, tmp_path / "out", texts=many, data=data, min_agreement=0.5, heal=FEW, preset="small"
    )
    assert result.held
    report = result.manifest.heal
    assert report.kept or report.why
    # The numbers of the outcome are those of what lies there.
    assert result.outcome.winner.nbytes == result.manifest.nbytes
    assert json.loads((tmp_path / "out" / "search.json").read_text())["winner"]["nbytes"] == (
        result.manifest.nbytes
    )
    assert not leftovers(tmp_path)


def test_a_second_healing_within_a_budget_has_the_same_teacher(
    made, many, others, tmp_path, few_resamples, monkeypatch
):
    """With a trimmed vocabulary the teacher is a directory of its own, which the first healing has made."""
    monkeypatch.setattr("prensa.search.search._against", lambda *_: "no")
    result = prensa.compress(
        made,
        tmp_path / "out",
        texts=many,
        data=others,
        heal=replace(FEW, steps=2),
        trim_vocabulary=prensa.TrimVocabulary(),
        min_agreement=0.5,
    )
    assert result.manifest is not None
    assert result.manifest.heal.why == "no"
    assert not leftovers(tmp_path)


def test_what_grows_beyond_the_budget_is_left_as_it_was(made, many, tmp_path, monkeypatch):
    def enlarged(pressed, manifest, changes, directory):
        written = write_changed(pressed, manifest, changes, directory)
        [file] = written.files
        return replace(written, files=(replace(file, nbytes=10**9),))

    monkeypatch.setattr("prensa.healing.run.write_changed", enlarged)
    most = prensa.compress(made, tmp_path / "pressed", texts=many, **SMALL).manifest.nbytes
    result = prensa.compress(made, tmp_path / "out", texts=many, max_size=most, heal=FEW)
    report = result.manifest.heal
    assert (report.kept, report.why) == (False, "the healed one is larger than the budget allows")
    assert result.manifest.nbytes == report.nbytes_before
    assert (
        "the result is as it was before, since the healed one" in (tmp_path / "out" / CARD_FILE).read_text()
    )


def test_a_loss_that_is_no_number_ends_it_with_what_was_best(made, many, tmp_path):
    heal = Heal(steps=10, learning_rate=1e30)
    result = prensa.compress(made, tmp_path / "out", texts=many, heal=heal, **SMALL)
    report = result.manifest.heal
    assert report.broken
    assert not report.kept
    assert report.steps < 10
    assert "no state was better" in report.why
    prensa.compress(made, tmp_path / "pressed", texts=many, **SMALL)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("pressed", "out")]
    assert weights[0] == weights[1]
    assert "the loss became no number" in (tmp_path / "out" / CARD_FILE).read_text()


def test_ctrl_c_writes_the_best_so_far(made, many, tmp_path):
    def stop(what, done, total):
        if what.startswith("healing (") and done >= 5:
            raise KeyboardInterrupt

    heal = Heal(steps=30, learning_rate=1e-2)
    result = prensa.compress(made, tmp_path / "out", texts=many, heal=heal, progress=stop, **SMALL)
    assert result.manifest.heal.stopped
    assert result.manifest.heal.steps < 30
    prensa.load(tmp_path / "out")
    assert not leftovers(tmp_path)


class Killed(BaseException):
    """Stands for a process that ends at once."""


def test_a_killed_one_goes_on_and_refuses_other_texts(made, many, others, tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.distilling.trainer._SAVE", 0.0)
    whole = prensa.compress(made, tmp_path / "whole", texts=many, heal=FEW, **SMALL)

    def kill(what, done, total):
        if what.startswith("healing (") and done == 6:
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        prensa.compress(made, out, texts=many, heal=FEW, progress=kill, **SMALL)
    assert lessons_path(out, SMALL["noise"]).is_dir()
    more = tmp_path / "more.csv"
    more.write_text(many.read_text() + "one more text,LABEL_0\n")
    # The same texts calibrate, so that the file is the same.
    with pytest.raises(FormatError, match="other settings or texts"):
        prensa.compress(made, out, texts=prensa.Source(more, limit=8), heal=FEW, **SMALL)
    assert not out.exists()

    steps = []
    result = prensa.compress(
        made, out, texts=many, heal=FEW, progress=lambda what, done, _: steps.append((what, done)), **SMALL
    )
    first = next(done for what, done in steps if what == "healing")
    assert 0 < first < 8
    assert result.manifest.heal.loss_after == pytest.approx(whole.manifest.heal.loss_after, rel=1e-3)
    assert not leftovers(tmp_path)


def test_another_gpu_than_the_first_is_refused(made, many, tmp_path, monkeypatch):
    # Where the trainer would go to the first one all the same.
    monkeypatch.setattr(healing_plan, "choose_device", lambda wanted: wanted)
    with pytest.raises(SettingError, match="set CUDA_VISIBLE_DEVICES=1 and give `device=cuda`"):
        plan_healing(made, prensa.Source(many), Heal(60.0), library=Library(), device="cuda:1")
    assert plan_healing(made, prensa.Source(many), Heal(60.0), library=Library(), device="cuda:0")


def test_what_makes_no_sense_is_refused(made, many, others, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SettingError, match="`heal` learns from texts"):
        prensa.compress(made, out, heal="1min")
    with pytest.raises(RecipeError, match="this recipe rounds nothing"):
        prensa.compress(made, out, preset="half", texts=many, heal="1min")
    with pytest.raises(RecipeError, match="needs a format that keeps scales apart"):
        prensa.compress(made, out, preset="half", format="plain", texts=many, heal="1min")
    few = tmp_path / "few.csv"
    few.write_text("text\n" + "\n".join(f"a {n}" for n in range(150)) + "\n")
    with pytest.raises(DataError, match="150 different texts are too few to learn from.*leave `heal` out"):
        prensa.compress(made, out, texts=few, heal="1min")
    judged = prensa.Source(many, label_column="label")
    for texts, data in ((None, judged), (judged, None), (many, judged)):
        with pytest.raises(DataError, match="without the .* texts that the budget is judged by: 0 diff"):
            prensa.compress(made, out, texts=texts, data=data, max_drop=0.5, heal="1min")
    with pytest.raises(SettingError, match="cannot be healed"):
        prensa.compress(made, out, unchecked=True, heal="1min")
    with pytest.raises(SettingError, match="`heal`: expected a time such as 10min or 90s, found 'soon'"):
        prensa.compress(made, out, texts=many, heal="soon")
    assert not out.exists()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": 0}, "seconds must be a number above 0"),
        ({"seconds": True}, "seconds must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"steps": 0}, "steps must be a whole number above 0"),
        ({"steps": 1.5}, "steps must be a whole number above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        Heal(**settings)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('heal = "10min"', Heal(600.0)),
        ("heal = 90", Heal(90.0)),
        ("[heal]\nseconds = 60.0\nsteps = 7", Heal(60.0, steps=7)),
    ],
)
def test_a_recipe_says_how_long(toml, expected):
    recipe = parse_recipe(toml, "x.toml")
    assert recipe.heal == expected
    assert parse_recipe(recipe.to_toml(), "y.toml") == recipe


@pytest.mark.parametrize("toml", ["heal = true", "heal = [1]", 'heal = "soon"', "[heal]\nhours = 1"])
def test_a_recipe_that_says_it_wrongly_is_refused(toml):
    with pytest.raises(RecipeError, match="heal"):
        parse_recipe(toml, "x.toml")


def test_a_time_is_read():
    assert heal_from(None) is None
    assert heal_from("90s") == Heal(90.0)
    assert heal_from(5) == Heal(5.0)
    assert heal_from(FEW) is FEW
