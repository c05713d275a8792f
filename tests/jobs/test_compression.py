"""Compressions as jobs: planned without side effects, each file read once, each text tokenized once."""

from collections import Counter

import pytest

import prensa
from prensa.errors import DataError, RecipeError, SettingError
from prensa.pressing import pipeline
from prensa.pressing.recipe import Changes, adjusted, load_preset
from prensa.texts import columns, encoding, library
from prensa.texts.library import _content_key


@pytest.fixture
def data(tmp_path):
    """Sixty other labelled texts."""
    rows = [f"{'abcdefghij'[n % 10] * 2} {n},LABEL_{n % 2}" for n in range(60)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def reads(monkeypatch):
    """Count which files are read, and how often each tokenizer is given each text."""
    read = columns.read_table
    tokenize = encoding.tokenize
    files, texts = Counter(), Counter()

    def read_table(source, *rest, **settings):
        files[str(source)] += 1
        return read(source, *rest, **settings)

    def counted(tokenizer, some, kind, limit):
        for text in some.texts:
            texts[_content_key(tokenizer), text] += 1
        return tokenize(tokenizer, some, kind, limit)

    monkeypatch.setattr(columns, "read_table", read_table)
    monkeypatch.setattr(encoding, "tokenize", counted)
    monkeypatch.setattr(library, "tokenize", counted)
    return files, texts


def test_each_file_is_read_once_and_each_text_tokenized_once(
    original, texts, data, tmp_path, reads, few_resamples, quick, converted, monkeypatch
):
    files, tokenized = reads
    job = prensa.Compression(
        original,
        tmp_path / "out",
        recipe=load_preset("small"),
        texts=texts,
        budget=prensa.Budget(min_agreement=0.5, on=data),
        device="cpu",
    )
    plan = job.plan()
    assert plan.run().held
    assert files == {str(texts): 1, str(data): 1}
    assert set(tokenized.values()) == {1}


def test_a_plan_changes_nothing(original, texts, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    plan = prensa.Compression(original, tmp_path / "out", texts=texts).plan()
    assert plan.output == (tmp_path / "out").resolve()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_winner_of_a_search_is_not_compressed_again(
    original, texts, tmp_path, few_resamples, monkeypatch
):
    run = pipeline.run
    noises = []

    def counted(plan, *rest, **settings):
        noises.append(plan.recipe.noise)
        return run(plan, *rest, **settings)

    monkeypatch.setattr(pipeline, "run", counted)
    result = prensa.compress(original, tmp_path / "out", texts=texts, min_agreement=0.9)
    assert result.outcome.winner.noise in noises
    assert len(noises) == len(set(noises))


def test_texts_are_calibrated_on_and_data_are_judged_by(original, texts, data, tmp_path, few_resamples):
    job = prensa.Compression(
        original, tmp_path / "out", texts=texts, budget=prensa.Budget(min_agreement=0.5, on=data)
    )
    plan = job.plan()
    assert plan.calibration.source == "texts.csv"
    assert plan.judge.plan.texts.name == "data.csv"


@pytest.mark.parametrize("given", ["texts", "data"])
def test_one_source_stands_in_for_the_other(original, texts, tmp_path, given, few_resamples):
    budget = prensa.Budget(min_agreement=0.5, on=texts if given == "data" else None)
    job = prensa.Compression(
        original, tmp_path / "out", texts=texts if given == "texts" else None, budget=budget
    )
    plan = job.plan()
    assert plan.calibration.source == plan.judge.plan.texts.name == "texts.csv"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_drop": 0.01}, SettingError, "need texts to judge by: give `data` or `texts`"),
        ({"max_drop": 0.01, "noise": 0.1}, SettingError, "the search chooses the noise"),
        ({"preset": "half", "recipe": "half.toml"}, RecipeError, "give `preset` or `recipe`, not both"),
        ({"unchecked": True, "texts": "t.csv"}, SettingError, "`unchecked` compares nothing"),
        ({"runtime": "tpu"}, SettingError, "`runtime=tpu`: expected"),
        ({"preset": "half", "max_size": "10%"}, RecipeError, "a budget needs a calibrated recipe"),
    ],
)
def test_what_does_not_go_together(original, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        prensa.compress(original, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_texts_that_nothing_needs(original, texts, tmp_path):
    with pytest.raises(SettingError, match="no pass of the recipe needs them"):
        prensa.compress(original, tmp_path / "out", preset="int8", texts=texts)


def test_too_few_texts_are_said_before_anything_is_compressed(original, tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("one\ntwo\n" * 10)
    job = prensa.Compression(
        original, tmp_path / "out", budget=prensa.Budget(max_drop=0.01, on=tmp_path / "few.txt")
    )
    with pytest.raises(DataError, match="too few to keep a budget by"):
        job.plan()


def test_settings_change_the_recipe(original, tmp_path):
    result = prensa.compress(original, tmp_path / "out", preset="int8", prune=0.5)
    names = {step.name for tensor in result.manifest.tensors for step in tensor.passes}
    assert "prune" in names
    assert prensa.load_recipe(tmp_path / "out" / "recipe.toml") == adjusted(
        load_preset("int8"), Changes(prune=0.5)
    )


def test_exports_are_compared_with_the_same_permissions(
    original, texts, tmp_path, quick, converted, monkeypatch
):
    """What a compression may do, comparing its exports may do, too."""
    from prensa.checkpoint.allowed import allowed
    from prensa.evaluation import evaluate
    from prensa.serving.exported import TOLERANCES

    pytest.importorskip("onnxruntime")
    converted("onnxruntime", "int8")
    monkeypatch.setitem(TOLERANCES, "int8", 10)  # random weights suffer more than trained ones
    run = evaluate.run
    seen = []

    def watched(*arguments):
        seen.append(allowed())
        return run(*arguments)

    monkeypatch.setattr(evaluate, "run", watched)
    prensa.compress(original, tmp_path / "out", texts=texts, runtime="onnx", trust_remote_code=True)
    assert [permitted.remote_code for permitted in seen] == [True]


def test_a_preset_in_the_place_of_a_recipe_is_explained(original, tmp_path):
    with pytest.raises(RecipeError, match="for the preset of that name give `preset=half`"):
        prensa.compress(original, tmp_path / "out", recipe="half")
