"""Folded attention answers as the model does, in every configuration that transformers has."""

import copy

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SIZES

import prensa
from prensa.errors import ModelError
from prensa.runtime.deberta import projecting

TERMS = ([], ["c2p"], ["p2c"], ["c2p", "p2c"], ["p2c", "c2p"])


def build(version=2, head="Model", **settings):
    torch.manual_seed(0)
    common = {
        "vocab_size": 50,
        "relative_attention": True,
        "max_position_embeddings": 40,
        **SIZES,
        **settings,
    }
    family = {1: "Deberta", 2: "DebertaV2"}[version]
    config = getattr(transformers, f"{family}Config")(**common)
    model = getattr(transformers, f"{family}{head}")(config).eval()
    for parameter in model.parameters():  # as far apart as trained ones: positions must matter
        parameter.data.normal_(std=0.3)
    return model


def texts(batch, length, padding):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 50, (batch, length), generator=generator)
    mask = torch.ones_like(ids)
    for row, missing in enumerate(padding):
        mask[row % batch, max(1, length - missing) :] = 0
    return {"input_ids": ids, "attention_mask": mask}


@torch.inference_mode()
def difference(model, inputs):
    before = model(**inputs)[0]
    folded = copy.deepcopy(model)
    assert prensa.accelerate(folded, measure=False).layers == len(model.encoder.layer)
    after = folded(**inputs)[0]
    return float((before - after).abs().max() / before.abs().max())


@settings(max_examples=60, deadline=None)
@given(
    terms=st.sampled_from(TERMS),
    shared=st.booleans(),
    buckets=st.sampled_from([-1, 4, 8, 16]),
    positions=st.sampled_from([-1, 8, 30]),
    normed=st.sampled_from(["none", "layer_norm"]),
    kernel=st.sampled_from([0, 3]),
    biased=st.booleans(),
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    padding=st.lists(st.integers(0, 39), max_size=3),
)
def test_versions_2_and_3(terms, shared, buckets, positions, normed, kernel, biased, batch, length, padding):
    model = build(
        pos_att_type=terms,
        share_att_key=shared,
        position_buckets=buckets,
        max_relative_positions=positions,
        norm_rel_ebd=normed,
        conv_kernel_size=kernel,
        position_biased_input=biased,
    )
    assert difference(model, texts(batch, length, padding)) < 1e-5


@settings(max_examples=30, deadline=None)
@given(
    terms=st.sampled_from(TERMS),
    positions=st.sampled_from([-1, 8, 30]),
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    padding=st.lists(st.integers(0, 39), max_size=3),
)
def test_version_1(terms, positions, batch, length, padding):
    model = build(1, pos_att_type=terms, max_relative_positions=positions)
    assert difference(model, texts(batch, length, padding)) < 1e-5


@pytest.fixture
def model():
    return build(pos_att_type=["c2p", "p2c"], share_att_key=True, position_buckets=8)


@pytest.mark.parametrize("length", [1, 2, 127, 128, 300, 512])
def test_any_length(length):
    model = build(
        pos_att_type=["c2p", "p2c"], share_att_key=True, position_buckets=256, max_position_embeddings=512
    )
    assert difference(model, texts(1, length, [length // 3])) < 1e-5


def test_longer_than_its_positions():
    """Without absolute positions a text may be longer than any it was trained on."""
    model = build(pos_att_type=["c2p", "p2c"], position_buckets=8, position_biased_input=False)
    model.embeddings.position_ids = torch.arange(200)[None]
    assert difference(model, texts(1, 100, [])) < 1e-5


def test_weights_keep_their_names_and_undo_brings_the_modules_back(model):
    before, modules = model.state_dict(), [layer.attention.self for layer in model.encoder.layer]
    acceleration = prensa.accelerate(model, measure=False)
    assert str(acceleration) == ("DebertaV2Model: positions are projected once and for all in 2 layers")
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert prensa.accelerate(model, measure=False).layers == 0
    acceleration.undo()
    assert [layer.attention.self for layer in model.encoder.layer] == modules
    assert "get_rel_pos" not in vars(model.encoder)
    assert prensa.accelerate(model, measure=False).layers == 2


def test_attentions_and_hidden_states(model):
    inputs = texts(2, 9, [4])
    wanted = {"output_attentions": True, "output_hidden_states": True}
    with torch.inference_mode():
        before = model(**inputs, **wanted)
        prensa.accelerate(model, measure=False)
        after = model(**inputs, **wanted)
    for kind in ("attentions", "hidden_states"):
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(before[kind], after[kind], strict=True)), (
            kind
        )


def test_other_masks(model):
    """A mask for each pair of pieces, as some callers give, and none at all."""
    inputs = texts(2, 9, [4])
    pairs = inputs["attention_mask"].unsqueeze(1) * inputs["attention_mask"].unsqueeze(2)
    assert difference(model, {"input_ids": inputs["input_ids"]}) < 1e-5
    folded = copy.deepcopy(model)
    prensa.accelerate(folded, measure=False)
    hidden = model.embeddings(inputs["input_ids"])
    for mask in (pairs, pairs.unsqueeze(1)):
        before = model.encoder(hidden, mask.bool(), return_dict=False)[0]
        assert torch.allclose(before, folded.encoder(hidden, mask.bool(), return_dict=False)[0], atol=1e-4)


def test_a_model_in_training_is_refused_and_a_folded_one_refuses_to_train(model):
    model.train()
    with pytest.raises(ModelError, match="call model.eval"):
        prensa.accelerate(model, measure=False)
    model.eval()
    prensa.accelerate(model, measure=False)
    with pytest.raises(ModelError, match="before you train"):
        model.train()


def test_what_cannot_be_folded_is_left_as_it_is():
    for model in (
        transformers.BertModel(transformers.BertConfig(vocab_size=50, **SIZES)),
        build(relative_attention=False),
        build(1, pos_att_type=["c2p"], talking_head=True),
    ):
        acceleration = prensa.accelerate(model.eval(), measure=False)
        assert acceleration.layers == 0
        assert str(acceleration).endswith("nothing to fold, it runs as it was")
        acceleration.undo()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes(model, dtype):
    inputs = texts(2, 9, [4])
    model.to(dtype)
    assert difference(model, inputs) < {torch.bfloat16: 0.1, torch.float64: 1e-12}[dtype]
    prensa.accelerate(model, measure=False)
    assert model.to(torch.float32)(**inputs)[0].dtype == torch.float32


def test_autocast(model):
    inputs = texts(2, 9, [4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert difference(model, inputs) < 0.1


def test_export_with_any_batch_and_length(model):
    inputs = texts(2, 9, [4])
    prensa.accelerate(model, measure=False)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2, max=40)}
    program = torch.export.export(
        model, (), inputs, dynamic_shapes=dict.fromkeys(inputs, sizes), strict=False
    )
    for batch, length in ((1, 2), (3, 17), (2, 40)):
        other = texts(batch, length, [3])
        assert torch.allclose(program.module()(**other)[0], model(**other)[0], atol=1e-4)


def test_positions_may_be_projected_in_every_pass(model):
    inputs = texts(2, 9, [4])
    prensa.accelerate(model, measure=False)
    with torch.inference_mode():
        before = model(**inputs)[0]
        # What was projected once is not read then.
        for layer in model.encoder.layer:
            layer.attention.self.pos_key.zero_()
        with projecting(model):
            assert torch.allclose(model(**inputs)[0], before, atol=1e-5)
        assert not torch.allclose(model(**inputs)[0], before, atol=1e-3)


def test_compile(model):
    prensa.accelerate(model, measure=False)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for length in (9, 12):
        inputs = texts(2, length, [4])
        with torch.inference_mode():
            assert torch.allclose(compiled(**inputs)[0], model(**inputs)[0], atol=1e-4)
