"""Whole evaluations of tiny models, one for each kind of task."""

import json
import os

import numpy as np
import pytest
import torch
import transformers
from tests.conftest import FAMILIES, SIZES, add_tokenizer, build_model, change_config, change_weights
from tests.evaluation.conftest import comparison

import prensa
from prensa.errors import DataError, DeviceError, ModelError, SettingError, TokenizerError
from prensa.evaluation import evaluate as module

BERT = {"vocab_size": 160, "max_position_embeddings": 64, **SIZES}
MODELS = {
    "classes": (transformers.BertForSequenceClassification, {"num_labels": 3}),
    "multi-label": (
        transformers.BertForSequenceClassification,
        {"num_labels": 3, "problem_type": "multi_label_classification"},
    ),
    "regression": (transformers.BertForSequenceClassification, {"num_labels": 1}),
    "tokens": (transformers.BertForTokenClassification, {"num_labels": 3}),
    "masked": (transformers.BertForMaskedLM, {}),
    "embedding": (transformers.BertModel, {}),
}
LABELS = {
    "classes": [0, 1, 2, 0, 1, 2],
    "multi-label": [[0, 1, 1], [], [2], [1], [0, 2], "0,1"],
    "regression": [0.1, 0.5, -1, 2, 0.3, 0.2],
    "tokens": [[0, 1], [2], [0, 1, -100], [1], [0, 0], [2, 1]],
}
SENTENCES = ["one two", "three", "four five six", "a", "b c", "seven eight"]


def make(kind, path):
    """Build a pair of a random model of a kind and its pressed copy."""
    torch.manual_seed(0)
    if kind == "causal":
        add_tokenizer(build_model("gpt2", path / "original"), marks=False)
    else:
        build, settings = MODELS[kind]
        model = build(transformers.BertConfig(**BERT, **settings)).eval()
        for weight in model.parameters():
            weight.data *= 3 if weight.dim() == 2 else 1
        model.save_pretrained(path / "original")
        add_tokenizer(path / "original")
    prensa.compress(path / "original", path / "pressed", preset="classic")
    return path / "original", path / "pressed"


def write_data(kind, path):
    rows = [{"text": text.split() if kind == "tokens" else text} for text in SENTENCES * 4]
    for row, label in zip(rows, LABELS.get(kind, []) * 4, strict=False):
        row["label"] = label
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("kind", [*MODELS, "causal"])
def test_every_kind_of_task(kind, tmp_path, evaluated):
    original, pressed = make(kind, tmp_path)
    found = evaluated(original, pressed, original, data=write_data(kind, tmp_path / "d.jsonl"), batch_size=4)
    assert found.task.kind == kind
    assert (found.data.texts, found.data.measured) == (24, 24)
    assert found.data.labelled == (kind in LABELS)
    result, itself = found.results
    assert result.quality.figures
    assert bool(result.quality.metrics) == (kind in LABELS or kind in {"masked", "causal"})
    assert result.quality.disagreements
    low, high = result.quality.drop.interval
    assert low <= result.quality.drop.value <= high
    assert itself.quality.drop.value == pytest.approx(0, abs=1e-12)
    assert not itself.quality.disagreements
    assert {metric.difference for metric in itself.quality.metrics} <= {0.0, None}
    assert result.weight_bytes == (pressed / "model.safetensors").stat().st_size
    assert {len(timing.seconds) for model in (found.original, result) for timing in model.timings} <= {2, 3}
    assert result.memory.load_seconds == (0.1, 0.2, 0.3)
    assert (found.missing, found.within_budget) == ((), True)
    assert 'name = "prune"' in result.recipe
    assert (found.original.dtype, result.dtype) == ("float32", "float32")


def test_the_built_in_texts_do_without_data(original, pressed, evaluated):
    found = evaluated(original, pressed, limit=20, max_drop=0.0)
    assert found.data.is_smoke_test
    assert (found.data.texts, found.data.labelled) == (20, False)
    assert found.results[0].quality.drop.of == "changed answers"
    assert found.data.truncated > 0
    assert found.data.max_length == found.data.quartiles[-1] == 32


def test_two_runs_give_the_same_numbers(original, pressed, evaluated):
    runs = [evaluated(original, pressed, limit=50) for _ in range(2)]
    assert runs[0].results[0].quality == runs[1].results[0].quality


def test_the_batch_size_changes_nothing_that_counts(original, pressed, evaluated):
    one, many = (evaluated(original, pressed, limit=30, batch_size=size) for size in (1, 30))
    figures = [[figure.value for figure in each.results[0].quality.figures] for each in (one, many)]
    np.testing.assert_allclose(*figures, atol=1e-5)


def test_a_result_that_gives_no_numbers_is_not_within_any_budget(original, tmp_path, evaluated):
    broken = add_tokenizer(build_model("deberta", tmp_path / "broken"))
    change_weights(broken, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    found = evaluated(original, broken, limit=20, max_drop=1.0)
    assert found.results[0].quality.broken == 20
    assert not found.within_budget


def test_an_original_that_gives_no_numbers_is_refused(original, pressed, evaluated):
    change_weights(original, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    with pytest.raises(ModelError, match="gives no number .* on 20 of 20 texts"):
        evaluated(original, pressed, limit=20)


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("measure_quality", ("quality", "speed", "memory")),
        ("measure_speed", ("speed", "memory")),
        ("measure_memory", ("memory",)),
    ],
)
def test_what_was_measured_before_an_interruption_is_kept(
    original, pressed, evaluated, monkeypatch, stage, missing
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, stage, interrupt)
    found = evaluated(original, pressed, limit=20)
    assert found.missing == missing
    result = found.results[0]
    assert (result.quality is None) == ("quality" in missing)
    assert bool(result.timings) == ("speed" not in missing)
    assert result.memory is None
    assert result.weight_bytes > 0


def test_texts_answered_before_an_interruption_are_compared(original, pressed, evaluated):
    def interrupt(stage, done, total):
        if stage.startswith("answering") and done > total / 2:
            raise KeyboardInterrupt

    found = evaluated.run(original, pressed, progress=interrupt, limit=40, batch_size=4)
    assert 0 < found.data.measured < found.data.texts == 40
    assert found.data.measured % 4 == 0
    assert found.results[0].quality.figures
    assert found.missing == ("quality", "speed", "memory")


def test_too_few_texts_answered_to_choose_thresholds_on(original, pressed, texts, evaluated):
    def interrupt(stage, done, total):
        if stage.startswith("answering") and done > total / 4:
            raise KeyboardInterrupt

    settings = {"data": texts, "batch_size": 4, "label_threshold": "auto"}
    found = evaluated.run(original, pressed, progress=interrupt, **settings)
    assert found.results[0].quality is None
    assert "texts are too few to choose thresholds on" in found.problems[0]
    assert found.missing == ("quality", "speed", "memory")


def test_answers_are_compared_without_intervals_where_those_are_interrupted(
    original, pressed, tmp_path, evaluated
):
    def interrupt(stage, done, total):
        if stage.startswith("intervals, result 1"):
            raise KeyboardInterrupt

    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"comment {i},{i % 2}\n" for i in range(20)))
    data = str(tmp_path / "d.csv")
    found = evaluated.run(original, pressed, pressed, progress=interrupt, data=data, max_drop=1.0)
    for result in found.results:
        assert result.quality.metrics[0].difference is not None
        assert {metric.interval for metric in result.quality.metrics} == {None}
        assert found.budget(result) == "doubtful"
    assert found.missing == ("quality", "speed", "memory")


def test_a_regression_of_several_numbers_is_refused(tmp_path):
    config = transformers.BertConfig(**BERT, num_labels=3, problem_type="regression")
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot compare BertForSequenceClassification"):
        comparison(tmp_path, tmp_path).plan()


def test_progress_of_every_stage_comes_to_its_end(original, pressed, evaluated):
    told = {}
    evaluated.run(original, pressed, progress=lambda stage, *amount: told.update({stage: amount}), limit=20)
    assert all(done == total for done, total in told.values())
    assert [stage.partition(" ")[0].strip(",") for stage in told] == [
        *("tokenizing", "loading", "answering", "timing", "memory")
    ]


def test_names_tell_models_apart(original, tmp_path, evaluated):
    for place in ("a/int8", "b/int8", "c"):
        prensa.compress(original, tmp_path / place)
    places = [tmp_path / place for place in ("a/int8", "b/int8", "c", "c", "c")]
    found = evaluated(original, *places, original, limit=5)
    names = ["a/int8", "b/int8", "c", "c (2)", "c (3)", "original (1)"]
    assert [result.name for result in found.results] == names


def other_labels(model):
    change_config(model, id2label={"0": "x", "1": "y"})


def other_task(model):
    change_config(model, problem_type="multi_label_classification")


def other_tokenizer(model):
    content = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(content.replace('"a": ', '"ä": '))


def lower_case(model):
    content = json.loads((model / "tokenizer.json").read_text())
    (model / "tokenizer.json").write_text(json.dumps(content | {"normalizer": {"type": "Lowercase"}}))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (other_labels, ModelError, "has the labels x, y, the original LABEL_0, LABEL_1; compare"),
        (other_task, ModelError, "is a model for multi-label, the original for classes"),
        (other_tokenizer, TokenizerError, "its tokenizer is not that of"),
        (lower_case, TokenizerError, "its tokenizer is not that of"),
        (lambda model: (model / "tokenizer.json").unlink(), TokenizerError, "no usable tokenizer"),
        (lambda model: (model / "model.safetensors").unlink(), ModelError, "no weights found"),
        (lambda model: (model / "config.json").unlink(), ModelError, "cannot use it"),
        (
            lambda model: os.truncate(model / "model.safetensors", 5000),
            ModelError,
            "not a whole safetensors",
        ),
    ],
)
def test_results_that_do_not_belong_to_the_original(original, pressed, damage, error, message):
    damage(pressed)
    with pytest.raises(error, match=message) as refused:
        comparison(original, pressed).plan()
    assert str(pressed) in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, "`limit` must be at least 1, found 0"),
        ({"batch_size": -1}, "`batch_size` must be at least 1"),
        ({"max_length": 0}, "`max_length` must be at least 1"),
        ({"max_length": 33}, "the model reads at most 32 tokens"),
        ({"max_drop": 1.5}, "`max_drop` must be a share from 0 to 1"),
        ({"max_drop": float("nan")}, "`max_drop` must be a share from 0 to 1"),
        ({"device": "nowhere"}, "`device=nowhere`: not available on this machine"),
        ({"dtype": "int4"}, "`dtype=int4`: expected auto"),
        ({"text_column": "x"}, "`text_column` needs `data`"),
        ({"label_column": "x"}, "`label_column` needs `data`"),
        ({"split": "x"}, "`split` needs `data`"),
        ({"encoding": "x"}, "`encoding` needs `data`"),
        ({"labels": {"a": "b"}}, "`labels` needs `data`"),
    ],
)
def test_bad_settings(original, pressed, settings, message):
    with pytest.raises((SettingError, DeviceError), match=message):
        comparison(original, pressed, **settings).plan()


def test_something_to_compare_is_needed(original):
    with pytest.raises(SettingError, match="expected at least one result"):
        prensa.evaluate(original, [])


def test_models_that_cannot_be_compared(tmp_path):
    config = transformers.BertConfig(vocab_size=20, **SIZES)
    transformers.BertForMultipleChoice(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot compare BertForMultipleChoice, which chooses one"):
        comparison(tmp_path, tmp_path).plan()


def test_a_masked_model_needs_a_mask(tmp_path):
    path = add_tokenizer(build_model("bert", tmp_path / "model"))
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps({**settings, "mask_token": None}))
    with pytest.raises(TokenizerError, match="has no mask token"):
        comparison(path, path).plan()


def test_bad_data_is_said_before_weights_are_read(original, pressed, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "prensa.evaluation.judge.load_to_compare", lambda *_: pytest.fail("weights were read")
    )
    (tmp_path / "d.csv").write_text("text,label\na,rude\n")
    with pytest.raises(DataError, match="labels that the model does not know: 'rude'"):
        comparison(original, pressed, data=tmp_path / "d.csv").plan()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_loads_and_compares(family, tmp_path, evaluated):
    original = add_tokenizer(build_model(family, tmp_path / "original"), marks=family in {"bert", "deberta"})
    prensa.compress(original, tmp_path / "pressed", preset="half")
    found = evaluated(original, tmp_path / "pressed", limit=12)
    assert abs(found.results[0].quality.drop.value) < 0.1


def test_an_export_is_evaluated_in_its_runtime(original, exports, texts, quick):
    pytest.importorskip("openvino")
    fast = exports("openvino", "fp32")
    evaluation = prensa.evaluate(original, fast, data=texts)
    (result,) = evaluation.results
    assert result.dtype == "fp32, openvino"
    assert {file.name for file in result.files if file.kind == "weights"} == {
        "openvino_model.bin",
        "openvino_model.xml",
    }
    assert result.quality.drop.value == 0
    with pytest.raises(ModelError, match="an export cannot be the original"):
        prensa.evaluate(fast, original, data=texts)


def test_a_deberta_is_also_timed_folded(original, tmp_path, evaluated):
    found = evaluated(original, original)
    assert [each.tokens for each in found.folded] == [each.tokens for each in found.original.timings]
    bert, _ = make("regression", tmp_path)
    assert evaluated(bert, bert, data=write_data("regression", tmp_path / "r.jsonl")).folded == ()


def test_columns_may_be_lists_and_labels_have_other_names(quick, tmp_path):
    original, pressed = make("multi-label", tmp_path)
    rows = "".join(f"{text},{n % 2},1,{(n + 1) % 2}\n" for n, text in enumerate(SENTENCES * 4))
    (tmp_path / "t.csv").write_text("comment,a,b,c\n" + rows)
    found = prensa.evaluate(
        original,
        pressed,
        data=prensa.Source(
            tmp_path / "t.csv",
            text_column=["comment"],
            label_column=["c", "a", "b"],
            labels={"a": "LABEL_0", "b": "LABEL_1", "c": "LABEL_2"},
        ),
    )
    assert found.data.label_columns == ("a", "b", "c")
    assert "12 'a' as 'LABEL_0', 24 'b' as 'LABEL_1', 12 'c' as 'LABEL_2'" in found.data.account
    assert found.settings.label_column == "c,a,b"
