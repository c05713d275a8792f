"""``prensa compress --faster`` and ``prensa inspect`` of what it makes."""

import json
import shutil

import pytest
from tests.conftest import leftovers

from prensa.serving.stopwatch import Stopwatch


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Take as long as a model's layers have parameters: real times are noisy."""

    def seconds(_, models):
        times = []
        for model in models:
            weights = sum(weight.numel() for weight in model.deberta.encoder.layer.parameters())
            times.append(1e-3 + 1e-6 * weights)
        return times

    monkeypatch.setattr(Stopwatch, "seconds", seconds)


def test_the_result_is_described(command, original, texts, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", texts, "--preset", "int8")
    code, out, _ = command(*arguments, "--faster", "1.2x")
    assert code == 0
    lines = out.splitlines()
    [header] = [number for number, line in enumerate(lines) if line.startswith("layer ")]
    assert lines[header].split() == ["layer", "heads", "feed-forward"]
    assert [line.split()[0] for line in lines[header + 1 : header + 3]] == ["0", "1"]
    assert "→" in lines[header + 1] + lines[header + 2]
    [taken] = [line.split() for line in lines if line.startswith("taken away")]
    assert float(taken[2]) > 0
    assert any(line.startswith("weight files") for line in lines[:header])
    assert "times as fast, measured in torch float32, " in out
    assert "texts of texts.csv; before rounding, the outputs on others differ by " in out

    code, shown, _ = command("inspect", tmp_path / "out")
    assert code == 0
    described = "\n".join(lines[header : header + 6])
    assert described in shown
    code, shown, _ = command("inspect", tmp_path / "out", "--json")
    assert json.loads(shown)["shrink"]["wanted"] == 1.2
    assert "## Structure" in (tmp_path / "out" / "README.md").read_text()


def test_a_speed_that_nothing_reaches_is_told_by_the_exit_code(command, original, texts, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", texts, "--faster", "50")
    code, out, _ = command(*arguments)
    assert code == 1
    assert out.startswith("Not reached: 50.00 times as fast.")
    code, out, _ = command(*arguments, "--json")
    assert code == 1
    assert json.loads(out)["unreached"].startswith("Not reached: ")
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


def test_json_of_a_search_has_the_structure(command, original, texts, tmp_path, few_resamples):
    code, out, _ = command(
        *("compress", original, "-o", tmp_path / "out", "--texts", texts),
        *("--faster", "1.2", "--min-agreement", "30%", "--json"),
    )
    assert code == 0
    content = json.loads(out)
    assert content["shrink"]["layers_before"] == 2
    assert content["trials"]


def test_the_plan_says_what_may_go(command, original, texts, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", texts, "--dry-run")
    code, out, _ = command(*arguments, "--faster", "2x")
    assert code == 0
    aim = "layers (of 2), heads (of 4 in a layer), neurons (of 96 in a layer) go, until it is 2.00 times as fast"
    assert aim in out
    assert "Widths: each layer's own" in out
    assert "Fitted on 67 texts of texts.csv, compared on 23 others." in out
    code, out, _ = command(*arguments, "--faster", "2x", "--json")
    assert json.loads(out)["shrink"] == {
        "faster": 2.0,
        "layers": 2,
        "widths": {"heads": 4, "neurons": 96},
        "even": False,
        "texts": "texts.csv",
        "fitted": 67,
        "apart": 23,
        "distillation": None,
    }
    assert not (tmp_path / "out").exists()


def test_the_plan_of_a_plain_result_keeps_one_width(command, original, texts, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", texts, "--dry-run")
    settings = ("--preset", "half", "--format", "plain", "--shrink", "--max-drop", "5%")
    code, out, _ = command(*arguments, *settings)
    assert code == 0
    assert "go, as many as the budget allows" in out
    assert "heads (of" not in out
    assert "--format packed holds uneven ones" in out
    code, out, _ = command(*arguments, *settings, "--json")
    assert json.loads(out)["shrink"]["even"] is True
    assert json.loads(out)["shrink"]["faster"] is None


def test_the_plan_says_how_long_it_learns(command, original, tmp_path):
    many = tmp_path / "many.csv"
    letters = "abcdefghij"
    rows = [f"{letters[n % 10]} {letters[n // 10 % 10]} {letters[n // 100]}" for n in range(300)]
    many.write_text("\n".join(["text", *rows]) + "\n")
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", many, "--dry-run")
    code, out, _ = command(*arguments, "--faster", "2x", "--distill", "10min")
    assert code == 0
    assert "Distillation: 600 seconds on 300 texts." in out


def test_without_shrinking_nothing_is_said_of_it(command, original, tmp_path):
    code, out, _ = command("compress", original, "-o", tmp_path / "out")
    assert code == 0
    assert "Layers:" not in out
    assert "## Structure" not in (tmp_path / "out" / "README.md").read_text()
    shutil.rmtree(tmp_path / "out")
    code, out, _ = command("compress", original, "-o", tmp_path / "out", "--dry-run", "--json")
    assert json.loads(out)["shrink"] is None
