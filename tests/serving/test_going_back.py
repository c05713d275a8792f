"""Layers that 8 bits ruin go back to float, those alone, whatever the task and the runtime."""

import dataclasses
import math

import numpy as np
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tests.bert import bert, tokenizer
from tests.conftest import leftovers
from tests.outlier import RUINED, ruin, ruined, write_texts

import prensa
from prensa.errors import DataError, DifferentAnswersError
from prensa.progress import silent
from prensa.serving import exported
from prensa.serving.costs import Bits, Step, steps_back
from prensa.serving.export import plan_export, run_export
from prensa.serving.exported import arrays, read_record
from prensa.serving.going_back import bits_after, fewest, most_steps
from prensa.serving.layers import Layer, layers_of
from prensa.serving.program import trace
from prensa.serving.weights import FLOAT, digest
from prensa.texts.source import Source


@pytest.fixture
def many(tmp_path):
    return write_texts(tmp_path / "many.csv")


@pytest.fixture
def bound(monkeypatch):
    """Above what random weights lose in 8 bits, and below what a ruined layer costs."""
    monkeypatch.setitem(exported.TOLERANCES, "int8", 0.5)


class TestTheSearch:
    @given(st.integers(1, 200), st.data())
    def test_the_smallest_number_that_holds_is_found_in_few_tries(self, most, data):
        least = data.draw(st.integers(1, most))
        tried = []

        def holds(count):
            assert 1 <= count <= most
            tried.append(count)
            return count >= least

        assert fewest(holds, most) == least
        assert len(set(tried)) == len(tried) <= 2 * math.ceil(math.log2(most + 1))
        # What holds last is what is found: it is the one that stays.
        assert [count for count in tried if count >= least][-1] == least

    def test_nothing_may_hold(self):
        tried = []
        assert fewest(tried.append, 5) is None
        assert tried == [1, 2, 4, 5]
        assert fewest(tried.append, 0) is None
        assert len(tried) == 4

    def test_a_quarter_of_the_weights_stays_in_8_bits(self):
        layers = [Layer(name, name, size, ()) for name, size in (("a", 50), ("b", 30), ("c", 20))]
        a, b, c = layers
        steps = [Step(a, 8, 0.4), Step(c, FLOAT, 0.3), Step(a, FLOAT, 0.2), Step(b, FLOAT, 0.1)]
        assert most_steps(steps, layers) == 3
        assert most_steps([Step(a, FLOAT, 2), Step(b, FLOAT, 1)], layers) == 1
        assert bits_after(steps[:3]) == {"a": FLOAT, "c": FLOAT}
        assert bits_after(steps[:1]) == {"a": 8}


def test_a_weight_is_known_by_its_numbers_turned_or_not():
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest(weight) == digest(weight.T) == digest(weight[None])
    assert digest(weight) != digest(weight.reshape(3, 2))
    assert digest(weight) != digest(weight + 1)
    for other in (weight.astype(np.float64), weight.ravel(), np.stack([weight, weight])):
        assert digest(other) is None


def test_layers_are_measured_by_what_they_do_to_answers(tmp_path):
    """The masked-word head of a BERT shares its weights with the embeddings: they are one layer."""
    place = ruined(tmp_path / "model", "BertForMaskedLM")
    model = transformers.BertForMaskedLM.from_pretrained(place, attn_implementation="eager").eval()
    rows = [{"input_ids": list(range(5, 6 + n)), "attention_mask": [1] * (n + 1)} for n in range(12)]
    program = trace(model, rows[0], 32)
    layers = layers_of(program.graph)
    words = next(layer for layer in layers if "word_embeddings" in layer.name or "decoder" in layer.name)
    assert len(words.uses) == 2
    assert words.products == 200 * 32
    texts = [arrays(row, program.inputs) for row in rows]
    steps = steps_back(program, layers, Bits(products=8, tables=4), texts, silent)
    assert steps[0].layer.name == f"bert.{RUINED}"
    assert steps[0].bits == FLOAT
    # Of the words first 4 bits, then 8.
    assert [step.bits for step in steps if step.layer is words] == [8, FLOAT]
    assert steps[0].cost > 3 * steps[1].cost
    assert steps == sorted(steps, key=lambda step: -step.cost)


@pytest.mark.parametrize(
    ("to", "head"),
    [
        ("onnxruntime", "BertForSequenceClassification"),
        ("openvino", "BertForSequenceClassification"),
        ("onnxruntime", "BertForTokenClassification"),
        ("openvino", "BertModel"),
    ],
)
def test_exactly_the_layer_that_8_bits_ruin_goes_back(to, head, many, tmp_path, bound):
    pytest.importorskip(to)
    model = ruined(tmp_path / "model", head)
    record = prensa.export(model, tmp_path / "out", to=to, texts=many)
    (name,) = record.back
    assert name.endswith(RUINED)
    assert record.back[name] == FLOAT
    assert record.difference < 0.5
    assert read_record(tmp_path / "out") == record
    # All of a layer's products are 4 × 32 × 32 in attention and 2 × 32 × 32 behind it, and the heads'.
    in_heads = {"BertForSequenceClassification": 32 * 32 + 2 * 32, "BertForTokenClassification": 2 * 32}
    in_all = 6 * 32 * 32 + in_heads.get(head, 0)
    assert record.share == pytest.approx(1 - 32 * 32 / in_all)
    assert not leftovers(tmp_path)


def test_a_decoder_whose_layers_are_turned(many, tmp_path, bound):
    """GPT-2 multiplies by [in, out], where others have [out, in]."""
    pytest.importorskip("onnxruntime")
    config = transformers.GPT2Config(
        vocab_size=200, n_embd=32, n_layer=1, n_head=2, n_positions=32, initializer_range=0.3
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    mlp = model.transformer.h[0].mlp
    ruin((mlp.c_fc.weight.T, mlp.c_fc.bias), mlp.c_proj.weight.T)
    model.save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(bert(tmp_path / "other")).save_pretrained(tmp_path / "model")
    record = prensa.export(model=tmp_path / "model", output=tmp_path / "out", to="onnx", texts=many)
    assert record.back == {"transformer.h.0.mlp.c_proj": FLOAT}


def test_a_layer_of_4_bits_goes_back_to_8_first(many, tmp_path, monkeypatch):
    """Whatever the export answers, this one is approved as soon as three layers have more bits."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(exported.TOLERANCES, "int4", 10)
    config = transformers.BertConfig(
        vocab_size=200,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    model = tmp_path / "model"
    # Matrices as large as those that 4 bits pay for.
    transformers.BertForSequenceClassification(config).eval().save_pretrained(model)
    tokenizer(32).save_pretrained(model)

    def approve(directory, record):
        assert record == read_record(directory)
        if len(record.back) < 3:
            raise DifferentAnswersError("too few")
        return dataclasses.replace(record, drop=0.5)

    planned = plan_export(model, tmp_path / "out", to="onnx", precision="int4", texts=Source(many))
    record = run_export(planned, approve=approve)
    assert record.drop == 0.5
    assert set(record.back.values()) == {8}
    assert record.share == 1
    assert read_record(tmp_path / "out") == record
    names = [each.name for each in onnx.load(tmp_path / "out" / "onnx" / "model.onnx").graph.initializer]
    assert sum(name.endswith(("_int8", "_quantized")) for name in names) >= 3
    # Of some five layers and a table.
    assert sum(name.endswith("_nibbles") for name in names) >= 2


@pytest.mark.parametrize("error", [DifferentAnswersError, DataError])
def test_what_no_export_keeps_is_refused_and_nothing_is_written(many, tmp_path, bound, error):
    pytest.importorskip("onnxruntime")
    model = bert(tmp_path / "model", "BertForSequenceClassification")
    asked = []

    def approve(directory, record):
        asked.append(dict(read_record(directory).back))
        if len(asked) == 1:
            raise DifferentAnswersError("it loses too much")
        raise error("still")

    planned = plan_export(model, tmp_path / "out", to="onnx", texts=Source(many))
    with pytest.raises(DifferentAnswersError, match=r"it loses too much; putting the \d+ most costly"):
        run_export(planned, approve=approve)
    assert asked[0] == {}
    assert [len(back) for back in asked] == sorted(len(back) for back in asked)
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


def test_texts_that_cannot_tell_are_said_at_once(many, tmp_path, bound):
    """More float would not make them more."""
    pytest.importorskip("onnxruntime")
    model = bert(tmp_path / "model", "BertForSequenceClassification")
    asked = []

    def approve(directory, record):
        asked.append(directory)
        raise DataError("too few texts")

    planned = plan_export(model, tmp_path / "out", to="onnx", texts=Source(many))
    with pytest.raises(DataError, match="too few texts"):
        run_export(planned, approve=approve)
    assert len(asked) == 1
