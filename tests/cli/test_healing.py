"""``prensa compress --heal``: what the plan says, and what is refused."""

import json

import pytest


@pytest.fixture
def many(tmp_path):
    path = tmp_path / "many.csv"
    letters = "abcdefghij"
    rows = [f"{letters[n % 10]} {letters[n // 10 % 10]} {letters[n // 100]}" for n in range(300)]
    path.write_text("\n".join(["text", *rows]) + "\n")
    return path


def test_the_plan_says_how_long_it_heals(command, original, many, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", many, "--dry-run")
    code, out, _ = command(*arguments, "--heal", "10min")
    assert code == 0
    assert "Healing: 600 seconds on 300 texts of many.csv, on cpu." in out
    code, out, _ = command(*arguments, "--heal", "10min", "--json")
    assert json.loads(out)["heal"] == {
        "seconds": 600.0,
        "steps": None,
        "texts": "many.csv",
        "count": 300,
        "device": "cpu",
    }
    code, out, _ = command(*arguments, "--json")
    assert json.loads(out)["heal"] is None
    assert not (tmp_path / "out").exists()


def test_a_result_says_how_it_was_healed(command, original, many, tmp_path):
    pytest.importorskip("accelerate")
    recipe = tmp_path / "recipe.toml"
    passes = '[[passes]]\nname = "gptq"\nnoise = 1.0\n'
    recipe.write_text(f"{passes}[heal]\nsteps = 6\nlearning_rate = 0.01\n")
    code, out, _ = command("compress", original, "-o", tmp_path / "out", "--texts", many, "--recipe", recipe)
    assert code == 0
    [said] = [line for line in out.splitlines() if line.startswith("Healed: ")]
    assert "learnt for 6 steps" in said
    code, out, _ = command("inspect", tmp_path / "out")
    assert said in out
    code, out, _ = command("inspect", tmp_path / "out", "--json")
    assert json.loads(out)["heal"]["steps"] == 6


def test_options_are_named_in_refusals(command, original, tmp_path):
    code, _, said = command("compress", original, "-o", tmp_path / "out", "--heal", "10min")
    assert code == 2
    assert "--heal learns from texts like those that the model will read: give --texts" in said
