"""Which way to serve a model is taken, by a clock that the test holds, and what is kept of it."""

import copy

import numpy as np
import pytest
import torch
from tests.serving.test_load import cache, said  # noqa: F401

import prensa
from prensa.errors import SettingError
from prensa.runtime import gain, processor
from prensa.runtime.deberta import FoldedAttention
from prensa.serving import fastest, folding
from prensa.serving.exported import TOLERANCES


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """A processor with bfloat16 and no other runtime: two ways, and both are PyTorch."""
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx512_bf16"])
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    monkeypatch.setitem(TOLERANCES, "bf16", 0.2)  # random weights suffer more than trained ones


@pytest.fixture
def measured(monkeypatch):
    """The sizes of what was timed; the last way is the fastest."""
    sizes = []

    def in_turns(works, seconds, *, twice):
        sizes.append(works[0].args[0]["input_ids"].shape)
        return [float(len(works) - number) for number in range(len(works))]

    monkeypatch.setattr(fastest, "in_turns", in_turns)
    return sizes


def folded(monkeypatch, was, folded):
    """Let all runs of a model as it is take ``was``, and folded ones ``folded``; return what is timed."""
    runs = []

    def in_turns(works, seconds):
        runs.append(works[0].args[1].args[1].shape[:2])
        return [was, folded]

    monkeypatch.setattr(gain, "in_turns", in_turns)
    return runs


def is_folded(served):
    encoder = served.engine.model.deberta.encoder
    return isinstance(encoder.layer[0].attention.self, FoldedAttention)


@pytest.mark.parametrize("seconds", [(2.0, 1.0), (1.0, 2.0)])
def test_pytorch_is_folded_where_that_is_faster_and_that_is_measured_once(original, monkeypatch, seconds):
    runs = folded(monkeypatch, *seconds)
    served = prensa.load(original, runtime="torch", dtype="float32")
    assert is_folded(served) == (seconds[0] > seconds[1])
    assert len(runs) == 3
    again = prensa.load(original, runtime="torch", dtype="float32")
    assert is_folded(again) == is_folded(served)
    assert len(runs) == 3
    # Another dtype is another question.
    prensa.load(original, runtime="torch", dtype="bfloat16")
    assert len(runs) == 6


def test_as_it_is_it_gives_the_answers_of_the_original(original, monkeypatch):
    folded(monkeypatch, 1.0, 2.0)
    served = prensa.load(original, runtime="torch", dtype="float32")
    truth = prensa.load(original, dtype=torch.float32).eval()
    inputs = served.tokenizer(["a b c"], return_tensors="pt")
    with torch.inference_mode():
        logits = truth(**{key: inputs[key] for key in ("input_ids", "attention_mask")}).logits
    assert np.allclose(next(served.predict(["a b c"])).output, logits[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("seconds", [(2.0, 1.0), (1.0, 2.0)])
def test_a_copy_is_as_the_first_one_whatever_the_clock_says_then(original, monkeypatch, seconds):
    folded(monkeypatch, *seconds)
    monkeypatch.setattr(folding, "recall", lambda asked, answers: None)
    served = prensa.load(original, runtime="torch", dtype="float32")
    folded(monkeypatch, *reversed(seconds))
    assert is_folded(copy.deepcopy(served)) == is_folded(served)


def test_a_model_without_anything_to_fold_is_not_measured(tmp_path, monkeypatch):
    from tests.conftest import add_tokenizer, build_model

    monkeypatch.setattr(folding, "folding_gain", None)
    served = prensa.load(add_tokenizer(build_model("bert", tmp_path / "model")), runtime="torch")
    assert served.record.runtime == "torch"


def test_what_is_timed_are_texts_as_long_as_the_callers(original, measured, monkeypatch):
    runs = folded(monkeypatch, 2.0, 1.0)
    prensa.load(original, runtime="auto", texts=["a", "a b c", "a b c d e f g h i"])
    # Two marks around each text.
    assert measured == [(1, 5), (1, 11), (3, 11)]
    assert set(runs) == {(1, 16), (3, 16)}


def test_the_choice_is_kept_and_loaded_straight_away(original, measured, monkeypatch):
    served = prensa.load(original, runtime="auto")
    assert served.record.precision == "bfloat16"
    count = len(measured)
    assert count
    again = prensa.load(original, runtime="auto")
    assert again.record.precision == "bfloat16"
    assert len(measured) == count
    # Texts of other lengths, and another dtype, are measured by themselves.
    prensa.load(original, runtime="auto", texts=["a " * 30])
    assert len(measured) > count


def test_a_choice_that_is_damaged_is_measured_again(original, measured, cache):  # noqa: F811
    prensa.load(original, runtime="auto")
    count = len(measured)
    for path in (cache / "choices").iterdir():
        path.write_text("{")
    assert prensa.load(original, runtime="auto").record.precision == "bfloat16"
    assert len(measured) == 2 * count


def test_a_choice_that_answers_otherwise_by_now_is_not_taken(original, measured, monkeypatch, said):  # noqa: F811
    assert prensa.load(original, runtime="auto").record.precision == "bfloat16"
    monkeypatch.setattr(fastest, "distance", lambda found, exact: 0.3)
    assert prensa.load(original, runtime="auto").record.precision == "float32"
    assert any("gives different answers" in line for line in said)


def test_a_choice_that_fails_by_now_is_measured_again(original, measured, monkeypatch, said):  # noqa: F811
    assert prensa.load(original, runtime="auto").record.precision == "bfloat16"
    load = fastest.serve_in_pytorch

    def failing(directory, device, dtype, texts):
        if dtype == torch.bfloat16:
            raise SettingError("no bfloat16 here")
        return load(directory, device, dtype, texts)

    monkeypatch.setattr(fastest, "serve_in_pytorch", failing)
    assert prensa.load(original, runtime="auto").record.precision == "float32"
    assert "no bfloat16 here" in said


@pytest.mark.parametrize("wins", [True, False])
def test_on_avx2_eight_bits_are_tried_and_taken_only_where_they_win(
    original,
    monkeypatch,
    said,  # noqa: F811
    wins,
):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx2"])
    monkeypatch.setitem(TOLERANCES, "int8", 10.0)
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: module not in {"openvino", "nncf"})
    tried = []

    def in_turns(works, seconds, *, twice):
        tried.append(len(works))
        return [2.0, 1.0 if wins else 3.0]

    monkeypatch.setattr(fastest, "in_turns", in_turns)
    served = prensa.load(original, runtime="auto", dtype="int8")
    assert set(tried) == {2}
    if wins:
        assert (served.record.runtime, served.record.precision) == ("onnxruntime", "int8")
    else:
        assert (served.record.runtime, served.record.precision) == ("torch", "float32")
        assert said[-1].endswith("as nothing in 8 bits is faster here")


def test_the_smallest_geometric_mean_wins(original, monkeypatch):
    times = iter([[1.0, 3.0], [1.0, 0.5], [1.0, 0.5]])
    monkeypatch.setattr(fastest, "in_turns", lambda works, seconds, twice: next(times))
    # 3 × 0.5 × 0.5 is less than 1, though the sum is more.
    assert prensa.load(original, runtime="auto").record.precision == "bfloat16"


def test_texts_without_a_runtime(original):
    with pytest.raises(SettingError, match="`texts`: only to choose what is faster"):
        prensa.load(original, texts=["a"])
