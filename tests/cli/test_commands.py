import json
import shutil

import pytest
from tests.conftest import change_weights, directory_bytes
from typer.testing import CliRunner

from prensa.cli.main import app
from prensa.errors import OutputError


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return run


def test_compress_shows_before_and_after_by_kind(run, model, tmp_path):
    out = run("compress", model, "-o", tmp_path / "out")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert {"linear", "embedding", "norm", "bias", "head", "headers", "weight"} <= set(rows)
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert f"{size / 1e6:.2f} MB" in rows["weight"]
    assert "import prensa" in out


def test_every_setting_reaches_the_recipe(run, model, tmp_path):
    run(
        "compress", model, "-o", tmp_path / "out", "--preset", "half", "--prune", "0.4", "--threshold", "0.01"
    )
    recipe = (tmp_path / "out" / "recipe.toml").read_text()
    assert "amount = 0.4" in recipe
    assert "threshold = 0.01" in recipe
    assert 'name = "quantize"' not in recipe
    run("compress", model, "-o", tmp_path / "again", "--recipe", tmp_path / "out" / "recipe.toml")
    assert directory_bytes(tmp_path / "again") == directory_bytes(tmp_path / "out")


def test_a_dry_run_writes_nothing(run, model, tmp_path):
    before = directory_bytes(tmp_path)
    out = run("compress", model, "-o", tmp_path / "out", "--preset", "classic", "--dry-run")
    assert "after, at most" in out
    plan = json.loads(run("compress", model, "-o", tmp_path / "out", "--dry-run", "--json"))
    assert plan["nbytes_at_most"] == sum(kind["nbytes_at_most"] for kind in plan["kinds"])
    assert directory_bytes(tmp_path) == before


def test_json_is_all_that_is_printed(run, model, tmp_path):
    result = json.loads(run("compress", model, "-o", tmp_path / "out", "--json"))
    assert result["files"][0]["nbytes"] == (tmp_path / "out" / "model.safetensors").stat().st_size
    inspected = json.loads(run("inspect", tmp_path / "out", "--json"))
    assert {key: result[key] for key in inspected} == inspected


def test_inspect_lists_every_tensor(run, model, tmp_path):
    run("compress", model, "-o", tmp_path / "out", "--preset", "classic")
    out = run("inspect", tmp_path / "out")
    assert "deberta.encoder.layer.1.output.dense.weight" in out
    assert "48×96" in out
    assert "planes" in out
    assert "all tensors" in out
    assert "dense" in run("inspect", model)


def test_remarks_are_shown(run, model, tmp_path):
    change_weights(model, lambda tensors: tensors["classifier.weight"].mul_(1e9))
    out = run("compress", model, "-o", tmp_path / "out")
    assert "classifier.weight: half: overflows float16, kept in float32" in out


def test_names_are_not_markup(run, model, tmp_path):
    change_weights(model, lambda tensors: tensors.update({"a[/b]": tensors["classifier.bias"].clone()}))
    assert "run[v1]" in run("compress", model, "-o", tmp_path / "run[v1]")
    assert "a[/b]" in (tmp_path / "run[v1]" / "manifest.json").read_text()


def test_demo(run, tmp_path, demonstration, monkeypatch, quick):
    """Once more with one preset, over an earlier one."""
    place = shutil.copytree(demonstration[0], tmp_path / "demo")
    monkeypatch.setattr("prensa.example.demo.preset_names", lambda: ["half"])
    out = run("demo", "-o", place)
    assert "compressed with every preset" in out
    for preset in ("classic", "half", "int8"):
        assert (place / preset / "manifest.json").is_file()
    assert "half" in out
    assert "72 comments show that the results work" in out
    assert f"Report: {place / 'report.html'}" in out


def test_demo_touches_nothing_else(tmp_path):
    (tmp_path / "original").mkdir()
    (tmp_path / "letter.txt").write_text("x")
    for place, message in [(tmp_path, "holds other files"), (tmp_path / "letter.txt", "found a file")]:
        result = CliRunner().invoke(app, ["demo", "-o", str(place)])
        assert isinstance(result.exception, OutputError)
        assert message in str(result.exception)
    assert directory_bytes(tmp_path) == {"letter.txt": b"x"}
