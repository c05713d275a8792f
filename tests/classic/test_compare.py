import dataclasses
import runpy
from pathlib import Path

import pytest
from test_quantized_model import compare_models
from tests.sample import EVALUATION

from prensa.classic import compare
from prensa.evaluation.figures import Quality

SCRIPT = Path(__file__).parents[2] / "test_quantized_model.py"


def test_size_time_and_precision(quick, original, pressed, tmp_path, capsys):
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"comment {i},{i % 2}\n" for i in range(9)))
    compare.main(
        [
            *("--original_path", str(original), "--optimized_path", str(pressed)),
            *("--data", str(tmp_path / "d.csv")),
        ]
    )
    out = capsys.readouterr().out
    for words in ("Size on disk", "smaller)", "Inference time, 1 text of", "times as fast", "accuracy: "):
        assert words in out
    assert "Precision of predictions, 9 texts" in out


def test_the_function_returns_the_evaluation(quick, original, pressed):
    found = compare_models(original, pressed)
    assert found.data.is_smoke_test
    assert found.results[0].quality.figures


def test_every_line():
    assert list(compare.lines(EVALUATION)) == [
        "Size on disk",
        "  original   91.57 MB",
        "  optimized  38.64 MB (57.8 % smaller)",
        "Inference time, 1 text of 17 tokens",
        "  original   21.5 ms",
        "  optimized  17.2 ms (1.25 times as fast)",
        "Inference time, 1 text of 40 tokens",
        "  original   21.5 ms",
        "  optimized  17.2 ms (1.25 times as fast)",
        "Inference time, 1 text of 80 tokens",
        "  original   21.5 ms",
        "  optimized  17.2 ms (1.25 times as fast)",
        "Inference time, 32 texts of 44 tokens",
        "  original   310 ms",
        "  optimized  248 ms (1.25 times as fast)",
        "Precision of predictions, 3,000 texts",
        "  same answer: 98.90 %",
        "  mean divergence (KL, nats): 0.001240",
        "  largest divergence (KL, nats): 0.4100",
        "  largest change of a probability: 28.30 %",
        "  accuracy: 92.00 % before, 91.70 % after (−0.30 points)",
        "  macro F1: 91.87 % before, 91.55 % after (−0.32 points)",
        "  F1: <b>toxic</b>: 92.01 % before, 91.72 % after (−0.29 points)",
        "  ROC-AUC: needs right answers of at least two classes",
        "  calibration error: 2.10 % before, 2.40 % after (+0.30 points)",
        "12 of 3,000 texts were longer than 512 tokens and were truncated.",
    ]


def test_a_model_that_gives_no_numbers_is_said():
    result = dataclasses.replace(EVALUATION.results[0], quality=Quality(broken=5))
    assert "  the optimized model gives no number (NaN or infinity) on 5 texts" in list(
        compare.lines(dataclasses.replace(EVALUATION, results=(result,)))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --original_path, --optimized_path"),
        (["--original_path", "/none", "--optimized_path", "/none"], "/none: no such directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        compare.main(arguments)
    captured = capsys.readouterr()
    assert (stopped.value.code, captured.out) == (2, "")
    assert captured.err.startswith("test_quantized_model.py: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_pytest_does_not_collect_it(request):
    module = pytest.Module.from_parent(request.session, path=SCRIPT)
    assert module.obj.compare_models
    assert module.collect() == []


def test_the_script_itself(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [SCRIPT.name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stopped.value.code == 0
    assert "--original_path" in capsys.readouterr().out
