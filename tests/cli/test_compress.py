"""``prensa compress`` with texts and budgets, and ``prensa frontier``."""

import json

import pytest
from tests.conftest import change_weights, directory_bytes, leftovers

import prensa
from prensa.checkpoint.manifest import load_manifest
from prensa.evaluation.judge import Judge
from prensa.search.journal import journal_path


def test_texts_choose_the_preset_small(command, original, texts, tmp_path):
    code, out, err = command("compress", original, "-o", tmp_path / "out", "--texts", texts)
    assert (code, err) == (0, "texts.csv: 90 rows read; texts in 'text'\n")
    assert "Calibrated on 90 texts of texts.csv" in out
    manifest = load_manifest(tmp_path / "out")
    assert manifest.calibration.texts == "texts.csv"
    assert {step.name for tensor in manifest.tensors for step in tensor.passes} == {"half", "gptq"}
    again = tmp_path / "again"
    prensa.compress(original, again, texts=texts)
    assert (
        directory_bytes(again)["model.safetensors"] == directory_bytes(tmp_path / "out")["model.safetensors"]
    )


def test_without_texts_nothing_is_calibrated(command, original, tmp_path):
    code, out, err = command("compress", original, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert load_manifest(tmp_path / "out").calibration is None


def test_built_in_texts_are_said_to_be_general(command, original, tmp_path):
    code, out, err = command("compress", original, "-o", tmp_path / "out", "--preset", "small")
    assert code == 0
    assert "built-in texts" in out
    assert "give --texts" in out


def test_the_plan_says_what_calibration_takes(command, original, texts, tmp_path):
    arguments = ("compress", original, "-o", tmp_path / "out", "--texts", texts, "--dry-run")
    code, out, err = command(*arguments)
    assert code == 0
    assert "Calibration: 90 texts of texts.csv on cpu, with tokens counted in 90" in out
    code, out, err = command(*arguments, "--json")
    assert json.loads(out)["calibration"]["memory"] > 0
    assert not (tmp_path / "out").exists()


def test_a_budget_that_is_kept(command, original, texts, tmp_path, few_resamples):
    code, out, err = command(
        *("compress", original, "-o", tmp_path / "out", "--texts", texts, "--min-agreement", "90%")
    )
    assert code == 0
    assert "Kept: the same answer on at least 90.00 %" in out
    assert "on texts that the search had not seen" in out
    assert err.count("noise ") >= 3
    assert err.count("rows read") == 2  # to calibrate, and to judge by, with labels
    assert not leftovers(tmp_path)


def test_a_budget_that_nothing_keeps_is_told_by_the_exit_code(command, original, texts, tmp_path):
    code, out, err = command(
        "compress", original, "-o", tmp_path / "out", "--texts", texts, "--max-size", "1KB"
    )
    assert code == 1
    assert "Not reached: 0.00 MB at most. The best was" in out
    assert not (tmp_path / "out").exists()


def test_a_budget_from_python(original, texts, tmp_path, few_resamples):
    trials = []
    result = prensa.compress(
        original,
        tmp_path / "out",
        texts=texts,
        min_agreement="90%",
        on_trial=lambda *reported: trials.append(reported),
    )
    assert result.held
    assert trials
    assert result.manifest == load_manifest(tmp_path / "out")
    assert result.manifest.nbytes == result.outcome.winner.nbytes


def test_a_job_is_planned_and_then_run(original, texts, tmp_path, few_resamples):
    job = prensa.Compression(original, tmp_path / "out", budget=prensa.Budget(min_agreement=0.9, on=texts))
    plan = job.plan()
    assert plan.notes
    assert not (tmp_path / "out").exists()
    assert plan.run().held


def test_a_budget_as_json(command, original, texts, tmp_path):
    arguments = ("--texts", texts, "--max-size", "30%", "--json")
    code, out, err = command("compress", original, "-o", tmp_path / "out", *arguments)
    assert code == 0
    found = json.loads(out)
    before = (original / "model.safetensors").stat().st_size
    assert found["held"]
    assert found["winner"]["nbytes"] <= 0.3 * before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-drop", "1%"), "need texts to judge by: give --data or --texts"),
        (
            ("--max-drop", "1%", "--noise", "0.1"),
            "--noise cannot be combined with a budget: the search chooses the noise",
        ),
        (("--max-drop", "x"), "--max-drop: expected a share such as 0.01 or 1%, found 'x'"),
        (("--max-drop", "200%", "--preset", "small"), "--max-drop must be a share from 0 to 1"),
        (("--max-size", "big", "--preset", "small"), "--max-size: expected 12%, 20MB or bytes, found 'big'"),
        (("--max-size", "0", "--preset", "small"), "--max-size must be above 0"),
        (
            ("--max-size", "10%", "--preset", "half"),
            "a budget needs a calibrated recipe: use --preset small or a recipe with a gptq pass",
        ),
        (("--noise", "99", "--preset", "small"), "noise must be a number from 1e-07 to 10"),
        (("--text-column", "text"), "no pass of the recipe needs them"),
        (("--texts", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--preset", "small", "--encoding", "cp1252"), "--encoding needs --data or --texts"),
        (("--labels", "a=b"), "--labels needs --data"),
        (("--data-column", "text"), "--data-column needs --data"),
        (("--texts", "a.csv", "--data", "b.csv"), "--data, --label-column and --labels need a budget"),
        (("--prune-by", "l1"), "unknown way of pruning 'l1'"),
    ],
)
def test_bad_input(command, original, tmp_path, options, message):
    code, out, err = command("compress", original, "-o", tmp_path / "out", *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not journal_path(tmp_path / "out").exists()


def test_a_frontier(command, original, texts, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.jobs.exploration.NOISES", (0.001, 0.1))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda module: False)
    code, out, err = command("frontier", original, "-o", tmp_path / "curve", "--data", texts)
    assert code == 0
    found = json.loads((tmp_path / "curve" / "frontier.json").read_text())
    names = [point["name"] for point in found["points"]]
    assert {"half", "int8", "classic"} <= set(names)
    assert found["missing"] == ["bitsandbytes is not installed"]
    sizes = [point["nbytes"] for point in found["points"] if point["kind"] == "calibrated"]
    assert sizes == sorted(sizes, reverse=True)
    assert all(point["interval"] is not None for point in found["points"])
    page = (tmp_path / "curve" / "frontier.html").read_text()
    assert "<svg" in page
    assert "bitsandbytes is not installed" in page
    assert "Size against quality" in out
    assert err.count("rows read") == 2
    assert sorted(path.name for path in (tmp_path / "curve").iterdir()) == ["frontier.html", "frontier.json"]


def test_a_frontier_has_no_place_in_a_file(command, original, texts, assert_refused):
    assert_refused(command("frontier", original, "-o", texts, "--data", texts), "expected a directory")


def test_a_frontier_that_is_interrupted_keeps_what_there_is(
    command, original, texts, tmp_path, few_resamples, monkeypatch
):
    quality = Judge.quality
    judged = []

    def stopped(self, *arguments, **settings):
        judged.append(arguments)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return quality(self, *arguments, **settings)

    monkeypatch.setattr(Judge, "quality", stopped)
    code, out, err = command("frontier", original, "-o", tmp_path / "curve", "--data", texts)
    assert code == 2
    assert "interrupted" in err
    assert "half" in err
    assert len(json.loads((tmp_path / "curve" / "frontier.json").read_text())["points"]) == 2


def test_unchecked_takes_no_texts(model, tmp_path, command, assert_refused):
    for more in (("--texts", "x.csv"), ("--max-size", "50%"), ("--runtime", "onnx"), ("--data", "x.csv")):
        found = command("compress", model, "-o", tmp_path / "out", "--unchecked", *more)
        assert_refused(found, "--unchecked compares nothing")


def test_what_was_done_to_names_is_said(model, tmp_path, command):
    change_weights(model, lambda t: [t.update({f"model.{name}": t.pop(name)}) for name in list(t)])
    code, out, err = command("compress", model, "-o", tmp_path / "out")
    assert (code, err) == (0, "'model.' was taken off 42 tensor names\n")
    assert f"Written to {tmp_path / 'out'}\n" in out
