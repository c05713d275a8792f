"""Statistics of tiny models of many architectures, and what pressing makes of them."""

import dataclasses

import pytest
import torch
import transformers
from tests.conftest import SIZES, add_tokenizer, build_model, change_weights

import prensa
from prensa import pipeline
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.errors import CalibrationError
from prensa.ops.affine import dequantize
from prensa.passes import Gptq
from prensa.recipe import load_preset

SMALL = {"vocab_size": 120, **SIZES}


def _deberta_v1():
    config = transformers.DebertaConfig(
        relative_attention=True, pos_att_type=["c2p", "p2c"], max_position_embeddings=64, **SMALL
    )
    return transformers.DebertaForSequenceClassification(config)


def _distilbert():
    config = transformers.DistilBertConfig(vocab_size=120, dim=48, n_layers=2, n_heads=4, hidden_dim=96)
    return transformers.DistilBertForSequenceClassification(config)


def _albert():
    config = transformers.AlbertConfig(embedding_size=32, **SMALL)
    return transformers.AlbertForSequenceClassification(config)


def _t5():
    config = transformers.T5Config(vocab_size=120, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4)
    return transformers.T5EncoderModel(config)


def _gpt2():
    config = transformers.GPT2Config(vocab_size=120, n_embd=48, n_layer=2, n_head=4, n_positions=64)
    return transformers.GPT2LMHeadModel(config)


def _llama():
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(num_key_value_heads=2, **SMALL))


ARCHITECTURES = {
    "albert": _albert,
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)),
    "deberta-v1": _deberta_v1,
    "distilbert": _distilbert,
    "electra": lambda: transformers.ElectraForTokenClassification(transformers.ElectraConfig(**SMALL)),
    "gpt2": _gpt2,
    "llama": _llama,
    "roberta": lambda: transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**SMALL)),
    "t5-encoder": _t5,
    "xlm-r": lambda: transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**SMALL)),
}


@pytest.fixture(params=ARCHITECTURES)
def any_architecture(request, tmp_path):
    torch.manual_seed(0)
    model = ARCHITECTURES[request.param]().eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data *= 2
    model.save_pretrained(tmp_path / "model")
    return add_tokenizer(tmp_path / "model")


def loss(change, known):
    return float((known.importance * ((change @ known.moment) * change).sum(dim=1)).sum())


def test_every_architecture_is_pressed_and_loads(any_architecture, tmp_path):
    plan = pipeline.plan(any_architecture, load_preset("small"), tmp_path / "out")
    statistics = collect(plan_calibration(any_architecture, count=40))
    manifest = pipeline.run(plan, statistics=statistics)
    loaded = prensa.load(tmp_path / "out", dtype=torch.float32)
    before, after = prensa.load(any_architecture).state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.isfinite(weight).all() for weight in after.values())
    calibrated = [tensor for tensor in plan.tensors if tensor.is_quantized]
    assert len(calibrated) >= 9
    assert set(manifest.calibration.unreached) <= {"pooler.dense.weight"}  # which embeddings leave out
    better = 0
    for tensor in calibrated:
        own = plan.model.own_name(tensor.spec.name)
        known = statistics.matrices.get(own)
        if known is None:
            continue
        weight = before[own].t() if tensor.spec.is_transposed else before[own]
        upright = dataclasses.replace(tensor.spec, layer="Linear")
        found = Gptq().bind(known, statistics.weights).apply(weight, upright)
        offset = 0 if known.offset is None else known.offset
        nearest = torch.round((weight - offset) / found.scale[:, None]) * found.scale[:, None] + offset
        assert loss(dequantize(found) - weight, known) <= 1.02 * loss(nearest - weight, known), own
        better += loss(dequantize(found) - weight, known) < 0.97 * loss(nearest - weight, known)
    assert better >= len(calibrated) // 2


def test_padding_does_not_count(original, tmp_path):
    """The statistics of two texts of unlike length, with padding or one by one, are the same."""
    (tmp_path / "texts.txt").write_text("a b c d e f\nq\n" * 8)
    plan = plan_calibration(original, str(tmp_path / "texts.txt"))
    padded = dataclasses.replace(plan, batches=[[0, 1]])
    alone = dataclasses.replace(plan, batches=[[0], [1]])
    first, second = (collect(each).matrices for each in (padded, alone))
    for name in first:
        if "layer.0" in name and "key" not in name and "query" not in name:  # those read positions, too
            assert torch.allclose(first[name].moment, second[name].moment, rtol=1e-3, atol=1e-5), name


def test_statistics_are_the_same_every_time(original):
    plan = plan_calibration(original, count=20)
    first, second = (collect(plan) for _ in range(2))
    for name, known in first.matrices.items():
        assert torch.equal(known.moment, second.matrices[name].moment)
        assert torch.equal(known.importance, second.matrices[name].importance)


def test_relative_positions_are_known_by_their_own_gradient(original):
    known = collect(plan_calibration(original, count=20)).matrices
    positions = known["deberta.encoder.rel_embeddings.weight"]
    assert float(positions.importance.min()) >= 0
    assert float(positions.importance.max()) > 0
    assert known["classifier.weight"].importance.shape == (2,)


def test_rare_pieces_matter_less(original, tmp_path):
    (tmp_path / "texts.txt").write_text("a a a a b\n" * 20)
    known = collect(plan_calibration(original, str(tmp_path / "texts.txt")))
    importance = known.matrices["deberta.embeddings.word_embeddings.weight"].importance
    a, b, never = (float(importance[5 + ord(letter) - 33]) for letter in "abz")
    assert a > b > never > 0
    assert a / b == pytest.approx((80 + 1) / (20 + 1), rel=1e-3)


def test_a_tied_matrix_knows_both_of_its_uses(tmp_path):
    model = add_tokenizer(build_model("gpt2", tmp_path / "model"))
    known = collect(plan_calibration(model, count=20)).matrices
    tied = known["transformer.wte.weight"]
    assert known["lm_head.weight"] is tied or torch.equal(known["lm_head.weight"].moment, tied.moment)
    assert tied.importance.shape == (160,)
    assert tied.offset is not None


def test_a_broken_model_is_refused(original):
    change_weights(original, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    with pytest.raises(CalibrationError, match="gives no number"):
        collect(plan_calibration(original, count=10))


def test_too_little_memory_says_what_it_takes(original, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("prensa.calibration.collect.objective", fail)
    with pytest.raises(CalibrationError, match="out of memory on cpu; the model and its moments take 0.0 GB"):
        collect(plan_calibration(original, count=10))


def test_a_moment_of_no_use_names_its_tensor(original, tmp_path):
    plan = pipeline.plan(original, load_preset("small"), tmp_path / "out")
    statistics = collect(plan_calibration(original, count=10))
    name = "deberta.encoder.layer.0.output.dense.weight"
    broken = dataclasses.replace(statistics.matrices[name], moment=torch.full((96, 96), torch.nan))
    statistics = dataclasses.replace(statistics, matrices={**statistics.matrices, name: broken})
    with pytest.raises(CalibrationError, match=f"tensor {name}: expected a finite second moment"):
        pipeline.run(plan, statistics=statistics)
    assert not (tmp_path / "out").exists()


def test_progress_is_told(original):
    told = []
    collect(plan_calibration(original, count=10), lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2] > 0
