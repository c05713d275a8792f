"""Statistics of tiny models of many architectures, and what pressing makes of them."""

import dataclasses

import pytest
import torch
import transformers
from tests.conftest import SIZES, add_tokenizer, build_model, change_weights

import prensa
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.errors import DeviceError, ModelError, PrensaError, TokenizerError
from prensa.ops.affine import dequantize
from prensa.ops.moment import Moment
from prensa.passes import Gptq
from prensa.pressing import pipeline
from prensa.pressing.recipe import load_preset
from prensa.texts.library import Library
from prensa.texts.source import Source

SMALL = {"vocab_size": 120, **SIZES}


def planned(model, count=None, texts=None):
    return plan_calibration(model, Source(texts, limit=count), library=Library())


def _deberta_v1():
    config = transformers.DebertaConfig(
        relative_attention=True, pos_att_type=["c2p", "p2c"], max_position_embeddings=64, **SMALL
    )
    return transformers.DebertaForSequenceClassification(config)


def _deberta_that_multiplies_its_table():
    """As its class does without ``legacy``: the output layer is the table itself, and no module."""
    config = transformers.DebertaV2Config(
        legacy=False,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["c2p", "p2c"],
        max_position_embeddings=64,
        **SMALL,
    )
    return transformers.DebertaV2ForMaskedLM(config)


def _mobilebert():
    """Multiplies its table joined with another matrix."""
    config = transformers.MobileBertConfig(
        embedding_size=32, intra_bottleneck_size=32, max_position_embeddings=64, **SMALL
    )
    return transformers.MobileBertForMaskedLM(config)


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


def _bart():
    config = transformers.BartConfig(
        vocab_size=120,
        d_model=48,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        scale_embedding=True,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=3,
        forced_eos_token_id=None,
    )
    return transformers.BartForConditionalGeneration(config)


def _t5_whole():
    config = transformers.T5Config(
        vocab_size=120, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    return transformers.T5ForConditionalGeneration(config)


def _questions():
    return transformers.BertForQuestionAnswering(transformers.BertConfig(**SMALL))


ARCHITECTURES = {
    "bart": _bart,
    "bert-questions": _questions,
    "electra-discriminator": lambda: transformers.ElectraForPreTraining(transformers.ElectraConfig(**SMALL)),
    "t5": _t5_whole,
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


# Their tables are looked up, and multiplied by no module.
MULTIPLYING = {"deberta-mlm": _deberta_that_multiplies_its_table, "mobilebert-mlm": _mobilebert}


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
    return float((known.importance * ((change @ known.moment.whole()) * change).sum(dim=1)).sum())


def test_every_architecture_is_pressed_and_loads(any_architecture, tmp_path):
    plan = pipeline.plan(any_architecture, load_preset("small"), tmp_path / "out")
    statistics = collect(planned(any_architecture, 40))
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
    plan = planned(original, texts=tmp_path / "texts.txt")
    padded = dataclasses.replace(plan, batches=[[0, 1]])
    alone = dataclasses.replace(plan, batches=[[0], [1]])
    first, second = (collect(each).matrices for each in (padded, alone))
    for name in first:
        if "layer.0" in name and "key" not in name and "query" not in name:  # those read positions, too
            assert torch.allclose(
                first[name].moment.whole(), second[name].moment.whole(), rtol=1e-3, atol=1e-5
            ), name


def test_statistics_are_the_same_every_time(original):
    plan = planned(original, 20)
    first, second = (collect(plan) for _ in range(2))
    for name, known in first.matrices.items():
        assert torch.equal(known.moment.whole(), second.matrices[name].moment.whole())
        assert torch.equal(known.importance, second.matrices[name].importance)


def test_relative_positions_are_known_by_their_own_gradient(original):
    known = collect(planned(original, 20)).matrices
    positions = known["deberta.encoder.rel_embeddings.weight"]
    assert float(positions.importance.min()) >= 0
    assert float(positions.importance.max()) > 0
    assert known["classifier.weight"].importance.shape == (2,)


def test_rare_pieces_matter_less(original, tmp_path):
    (tmp_path / "texts.txt").write_text("a a a a b\n" * 20)
    known = collect(planned(original, texts=tmp_path / "texts.txt"))
    importance = known.matrices["deberta.embeddings.word_embeddings.weight"].importance
    a, b, never = (float(importance[5 + ord(letter) - 33]) for letter in "abz")
    assert a > b > never > 0
    assert a / b == pytest.approx((80 + 1) / (20 + 1), rel=1e-3)


def test_positions_that_no_text_reaches_count_as_the_others(original, tmp_path):
    (tmp_path / "texts.txt").write_text("a b\n" * 20)
    known = collect(planned(original, texts=tmp_path / "texts.txt")).matrices
    importance = known["deberta.encoder.rel_embeddings.weight"].importance
    assert float(importance[[0, 15]].min()) > 0.1 * float(importance.mean())


def test_a_table_that_scales_what_it_gives(tmp_path):
    """Bart multiplies what is looked up by √size: changes of its rows matter as much more."""
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    found = []
    for scaled in (False, True):
        torch.manual_seed(0)
        config = transformers.BartConfig(
            vocab_size=120,
            d_model=48,
            scale_embedding=scaled,
            pad_token_id=0,
            eos_token_id=3,
            **sizes,
            **heads,
        )
        model = transformers.BartForSequenceClassification(config)
        if scaled:
            model.model.shared.weight.data /= 48**0.5
        model.save_pretrained(tmp_path / str(scaled))
        plan = planned(add_tokenizer(tmp_path / str(scaled)), 10)
        found.append(collect(plan).matrices["model.shared.weight"])
    assert torch.allclose(found[1].moment.whole(), 48 * found[0].moment.whole(), rtol=1e-2)


def test_a_tokenizer_that_is_larger_than_the_model(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**SMALL, "vocab_size": 60})
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "model")
    with pytest.raises(
        TokenizerError, match="the tokenizer gives the id 97, but the model's embedding has 60 rows"
    ):
        collect(planned(add_tokenizer(tmp_path / "model"), 10))


def test_a_model_of_zeros(original):
    def silence(tensors):
        tensors["classifier.weight"].zero_()
        tensors["classifier.bias"].zero_()

    change_weights(original, silence)
    with pytest.raises(ModelError, match="nothing but zeros"):
        collect(planned(original, 10))


def test_a_tied_matrix_knows_both_of_its_uses(tmp_path):
    model = add_tokenizer(build_model("gpt2", tmp_path / "model"))
    known = collect(planned(model, 20)).matrices
    tied = known["transformer.wte.weight"]
    assert known["lm_head.weight"] is tied or torch.equal(
        known["lm_head.weight"].moment.whole(), tied.moment.whole()
    )
    assert tied.importance.shape == (160,)
    assert tied.offset is not None


@pytest.mark.parametrize("name", MULTIPLYING)
def test_a_table_that_is_multiplied_too_knows_both_of_its_uses(name, tmp_path):
    """What a change of an output row costs does not depend on whether the texts have its token."""
    torch.manual_seed(0)
    model = MULTIPLYING[name]().eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data *= 5
    model.save_pretrained(tmp_path / "model")
    known = collect(planned(add_tokenizer(tmp_path / "model"), 20)).matrices
    (table,) = (matrix for key, matrix in known.items() if key.endswith("word_embeddings.weight"))
    assert float(table.importance.min()) > 0.1 * float(table.importance.median())


def test_a_broken_model_is_refused(original):
    change_weights(original, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    with pytest.raises(ModelError, match="gives no number"):
        collect(planned(original, 10))


def test_too_little_memory_says_what_it_takes(original, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("prensa.calibration.collect.objective", fail)
    with pytest.raises(DeviceError, match="out of memory on cpu; the model and its moments take 0.0 GB"):
        collect(planned(original, 10))


def test_what_does_not_work_behind_a_fork_names_spawn(original, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError(
            "Unable to handle autograd's threading in combination with fork-based multiprocessing"
        )

    monkeypatch.setattr("prensa.calibration.collect.objective", fail)
    with pytest.raises(DeviceError, match="in a forked process .* spawn method"):
        collect(planned(original, 10))


def test_a_moment_of_no_use_names_its_tensor(original, tmp_path):
    plan = pipeline.plan(original, load_preset("small"), tmp_path / "out")
    statistics = collect(planned(original, 10))
    name = "deberta.encoder.layer.0.output.dense.weight"
    broken = dataclasses.replace(statistics.matrices[name], moment=Moment.of(torch.full((96, 96), torch.nan)))
    statistics = dataclasses.replace(statistics, matrices={**statistics.matrices, name: broken})
    with pytest.raises(PrensaError, match=f"tensor {name}: expected a finite second moment"):
        pipeline.run(plan, statistics=statistics)
    assert not (tmp_path / "out").exists()


def test_a_layer_that_is_given_no_rows_is_not_reached(tmp_path, monkeypatch):
    """As a mixture's expert that no token is sent to."""

    def idle(pooler, hidden):
        return hidden[:, 0] + pooler.dense(hidden[:0, 0]).sum()

    monkeypatch.setattr("transformers.models.bert.modeling_bert.BertPooler.forward", idle)
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    model.save_pretrained(tmp_path / "model")
    known = collect(planned(add_tokenizer(tmp_path / "model"), 10)).matrices
    assert "bert.pooler.dense.weight" not in known
    assert "classifier.weight" in known


def test_progress_is_told(original):
    told = []
    collect(planned(original, 10), lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2] > 0
