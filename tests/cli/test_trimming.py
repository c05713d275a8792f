"""``prensa compress --trim-vocabulary``."""

import json

import pytest
from tests.vocabulary.families import build
from tests.vocabulary.test_trimming import TEXTS

from prensa.cli.options import with_usual_values


@pytest.fixture
def given(tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    return build("deberta, unigram", tmp_path / "original"), tmp_path / "texts.txt"


def test_the_plan_then_the_work(command, given, tmp_path):
    original, texts = given
    arguments = ["compress", original, "-o", tmp_path / "out", "--texts", texts, "--trim-vocabulary"]
    code, out, _ = command(*arguments, "--dry-run", "--json")
    assert code == 0
    planned = json.loads(out)["vocabulary"]
    assert planned["unchanged"] == planned["covered"] == 1.0
    assert not (tmp_path / "out").exists()
    code, out, _ = command(*arguments, "--dry-run")
    assert f"Vocabulary: {planned['kept']:,} of {planned['before']:,} tokens stay, 100.00 %" in out
    code, out, _ = command(*arguments)
    assert code == 0
    assert "100.00 % of the texts are tokenized as before" in out
    assert "Calibrated on 9 texts" in out


def test_texts_that_serve_to_trim_alone(command, given, tmp_path):
    original, texts = given
    options = ["--preset", "half", "--format", "plain", "--texts", texts, "--trim-vocabulary", "99%"]
    code, out, err = command("compress", original, "-o", tmp_path / "out", *options)
    assert code == 0
    assert err.count("\n") == 1
    assert "rows read; texts in" in err
    assert "Calibrated" not in out


def test_by_languages_alone(command, given, tmp_path):
    original, _ = given
    code, out, _ = command(
        "compress", original, "-o", tmp_path / "out", "--trim-vocabulary", "--languages", "ru"
    )
    assert code == 0
    assert "tokens stay." in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trim-vocabulary"], "give --texts, or --languages"),
        (["--trim-vocabulary", "few", "--texts", "TEXTS"], "expected a number of tokens"),
        (["--trim-vocabulary", "3", "--texts", "TEXTS"], "tokens must stay"),
        (["--languages", "en"], "needs --trim-vocabulary"),
        (["--trim-vocabulary", "--languages", "tlh"], "'tlh' is not known"),
        (
            ["--trim-vocabulary", "--texts", "TEXTS", "--keep", "KEEP"],
            "that are not in the vocabulary: 'no such piece'",
        ),
        (["--trim-vocabulary", "--texts", "TEXTS", "--keep", "NONE"], "cannot be read"),
        (["--trim-vocabulary", "--texts", "no.csv"], "no such file"),
    ],
)
def test_refusals(command, assert_refused, given, tmp_path, options, words):
    original, texts = given
    (tmp_path / "keep").write_text("no such piece\n")
    places = {"TEXTS": texts, "KEEP": tmp_path / "keep", "NONE": tmp_path / "none"}
    chosen = [places.get(word, word) for word in options]
    assert_refused(command("compress", original, "-o", tmp_path / "out", *chosen), words)
    assert not (tmp_path / "out").exists()


def test_the_usual_value():
    assert with_usual_values(["compress", "M", "--trim-vocabulary"]) == [
        *("compress", "M", "--trim-vocabulary", "texts"),
    ]
    assert with_usual_values(["--trim-vocabulary", "-o", "x"]) == ["--trim-vocabulary", "texts", "-o", "x"]
    assert with_usual_values(["--trim-vocabulary", "9", "a"]) == ["--trim-vocabulary", "9", "a"]
