"""A classifier whose last layer computes one piece answers as it did; what needs all pieces has them."""

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SIZES
from tests.runtime.test_deberta import TERMS, build, texts

from prensa.runtime.deberta import fold, unfold
from prensa.runtime.first import read_all, read_first_alone

HEAD = "ForSequenceClassification"
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}


def model_of(family, head=HEAD, **settings):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")
    sizes = DISTILBERT if family == "DistilBert" else SIZES
    model = getattr(transformers, f"{family}{head}")(
        config(vocab_size=50, pad_token_id=0, **sizes, **settings)
    )
    return model.eval()


@torch.inference_mode()
def assert_only_the_first_piece_is_computed(model, inputs):
    length = inputs["input_ids"].shape[1]
    before = model(**inputs, output_hidden_states=True)
    assert read_first_alone(model)
    after = model(**inputs, output_hidden_states=True)
    assert (before.logits - after.logits).abs().max() < 1e-5 * before.logits.abs().max()
    assert [each.shape[1] for each in after.hidden_states] == [length] * (len(after.hidden_states) - 1) + [1]
    assert torch.allclose(after.hidden_states[-1], before.hidden_states[-1][:, :1], atol=1e-4)
    read_all(model)
    again = model(**inputs, output_hidden_states=True)
    assert torch.equal(again.logits, before.logits)
    assert again.hidden_states[-1].shape[1] == length


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["Bert", "Camembert", "DistilBert", "Electra", "Roberta", "XLMRoberta"])
def test_every_family(family, attention):
    model = model_of(family, attn_implementation=attention)
    assert_only_the_first_piece_is_computed(model, texts(3, 9, [4, 0, 8]))


@settings(max_examples=60, deadline=None)
@given(
    version=st.sampled_from([1, 2]),
    folded=st.booleans(),
    terms=st.sampled_from(TERMS),
    buckets=st.sampled_from([-1, 8]),
    kernel=st.sampled_from([0, 3]),
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    padding=st.lists(st.integers(0, 39), max_size=3),
)
def test_deberta(version, folded, terms, buckets, kernel, batch, length, padding):
    of_the_second = {"position_buckets": buckets, "conv_kernel_size": kernel, "share_att_key": True}
    model = build(version, HEAD, pos_att_type=terms, **(of_the_second if version == 2 else {}))
    if folded:
        fold(model)
    assert_only_the_first_piece_is_computed(model, texts(batch, length, padding))


def test_it_and_folding_are_undone_in_any_order():
    model = build(2, HEAD, pos_att_type=["c2p", "p2c"], share_att_key=True)
    inputs = texts(2, 9, [4])
    before = model(**inputs).logits
    for undo in ((read_all, unfold), (unfold, read_all)):
        fold(model)
        read_first_alone(model)
        for step in undo:
            step(model)
        assert torch.equal(model(**inputs).logits, before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: model_of("Bert", "Model"),
        lambda: model_of("Bert", "ForTokenClassification"),
        lambda: model_of("Bert", chunk_size_feed_forward=3),
        lambda: model_of("Albert"),
        lambda: build(2, "ForTokenClassification", pos_att_type=["c2p"]),
        lambda: build(2, HEAD, num_hidden_layers=1, conv_kernel_size=3),
    ],
    ids=["no head", "tokens", "in chunks", "another family", "deberta's tokens", "a convolution behind it"],
)
def test_models_that_need_all_pieces_keep_them(make):
    model = make()
    fold(model)
    assert not read_first_alone(model)
    read_all(model)
    hidden = model(**texts(2, 9, []), output_hidden_states=True).hidden_states
    assert all(each.shape[1] == 9 for each in hidden)


def test_somebody_elses_class_of_that_name():
    class BertForSequenceClassification(transformers.BertForSequenceClassification):
        """Its head may read anything."""

    model = BertForSequenceClassification(transformers.BertConfig(vocab_size=50, **SIZES))
    assert not read_first_alone(model.eval())
