import dataclasses

import pytest
import torch
import transformers
from tests.families import DISENTANGLED, FAMILIES, SIZES, Found

from prensa.checkpoint.roles import load_config, model_class
from prensa.errors import ModelError
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.influence import couplings_of
from prensa.shrink.trial import counts_of
from prensa.shrink.twin import build_twin


def write_config(directory, model, config):
    config.architectures = [model.__name__]
    config.save_pretrained(directory)
    return directory


def as_found(part, layers):
    prefix = f"{layers}.{part.layer}."
    feeders = {feeder.name.removeprefix(prefix): feeder.rows.shape[1] for feeder in part.feeders}
    counts = {name.removeprefix(prefix): count for name, count in part.counts.items()}
    return Found(part.units, part.columns.shape[1], part.reader.removeprefix(prefix), feeders, counts)


@pytest.mark.parametrize("name", FAMILIES)
def test_finds_what_can_go_from_the_config_alone(name, tmp_path):
    family = FAMILIES[name]
    anatomy = anatomy_of(family.write_config(tmp_path))
    assert anatomy.layers == family.layers
    assert anatomy.count == 3
    for part, expected in zip(anatomy.parts, family.found * 3, strict=True):
        found = as_found(part, family.layers)
        if expected.counts is None:
            found = found._replace(counts=None)
        assert found == expected
    per_layer = len(family.found)
    assert [part.layer for part in anatomy.parts] == [0] * per_layer + [1] * per_layer + [2] * per_layer
    for part in anatomy.parts:
        assert part.kind == ("neurons" if part.columns.shape[1] == 1 else "heads")


def part_of(name, kind, directory):
    anatomy = anatomy_of(FAMILIES[name].write_config(directory))
    return next(part for part in anatomy.parts if part.kind == kind)


def test_rows_of_a_fused_matrix_lie_in_blocks(tmp_path):
    (feeder,) = part_of("modernbert", "neurons", tmp_path).feeders
    assert feeder.rows[:3].tolist() == [[0, 96], [1, 97], [2, 98]]
    (feeder,) = part_of("gpt2", "heads", tmp_path).feeders
    second = [*range(12, 24), *range(60, 72), *range(108, 120)]
    assert feeder.rows[1].tolist() == second


def test_heads_that_share_a_key_go_together(tmp_path):
    part = part_of("llama", "heads", tmp_path)
    rows = {feeder.name.rpartition(".")[2]: feeder.rows for feeder in part.feeders}
    assert part.columns[1].tolist() == list(range(24, 48))
    assert rows["q_proj"][1].tolist() == list(range(24, 48))
    assert rows["k_proj"][1].tolist() == rows["v_proj"][1].tolist() == list(range(12, 24))


def test_the_only_head_stays(tmp_path):
    config = transformers.BertConfig(**{**SIZES, "num_attention_heads": 1})
    anatomy = anatomy_of(write_config(tmp_path, transformers.BertModel, config))
    assert {part.kind for part in anatomy.parts} == {"neurons"}


def test_a_mixer_without_attention_has_neurons(tmp_path):
    config = transformers.FNetConfig(vocab_size=60, hidden_size=48, num_hidden_layers=2, intermediate_size=96)
    anatomy = anatomy_of(write_config(tmp_path, transformers.FNetForSequenceClassification, config))
    assert [part.kind for part in anatomy.parts] == ["neurons", "neurons"]


def test_heads_stay_where_other_matrices_may_belong_to_them(tmp_path):
    # LUKE multiplies words with entities by matrices that only a text with entities runs through.
    config = transformers.LukeConfig(entity_vocab_size=10, entity_emb_size=16, **SIZES)
    anatomy = anatomy_of(write_config(tmp_path, transformers.LukeForSequenceClassification, config))
    assert {part.kind for part in anatomy.parts} == {"neurons"}


def test_several_blocks_of_neurons_in_a_layer_without_norms(tmp_path):
    sizes = {**SIZES, "embedding_size": 24, "intra_bottleneck_size": 24, "num_feedforward_networks": 3}
    config = transformers.MobileBertConfig(**sizes)
    anatomy = anatomy_of(write_config(tmp_path, transformers.MobileBertForSequenceClassification, config))
    readers = [part.reader.removeprefix(f"{anatomy.layers}.0.") for part in anatomy.parts if part.layer == 0]
    blocks = ["ffn.0.output.dense", "ffn.1.output.dense", "output.dense"]
    assert readers == ["attention.output.dense", *blocks]


def test_a_large_vocabulary_is_not_built(tmp_path):
    # With a padding that a small table does not have.
    config = transformers.BertConfig(**{**SIZES, "vocab_size": 10**9, "pad_token_id": 10**8})
    anatomy = anatomy_of(write_config(tmp_path, transformers.BertForMaskedLM, config))
    assert len(anatomy.parts) == 6


REFUSED = {
    "albert": (
        transformers.AlbertForSequenceClassification,
        transformers.AlbertConfig(embedding_size=24, **SIZES),
        "AlbertForSequenceClassification: config.json says 3 layers, but .* holds 1",
    ),
    "t5": (
        transformers.T5ForConditionalGeneration,
        transformers.T5Config(vocab_size=60, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4),
        "T5ForConditionalGeneration: .*found an encoder and a decoder",
    ),
    "resnet": (
        transformers.ResNetForImageClassification,
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1]),
        "ResNetForImageClassification: expected a list of layers, found none",
    ),
    "clip": (
        transformers.CLIPModel,
        transformers.CLIPConfig(),
        "CLIPModel: expected one list of layers, found text_model.* and vision_model",
    ),
    "layers of two kinds": (
        transformers.Qwen2MoeForCausalLM,
        transformers.Qwen2MoeConfig(
            mlp_only_layers=[1],
            num_experts=2,
            num_experts_per_tok=1,
            moe_intermediate_size=16,
            num_key_value_heads=4,
            **SIZES,
        ),
        "Qwen2MoeForCausalLM: expected layers with the same matrices, found another .* in model.layers.1",
    ),
    "a convolution behind the first layer": (
        transformers.DebertaV2ForSequenceClassification,
        transformers.DebertaV2Config(conv_kernel_size=3, conv_act="gelu", **DISENTANGLED, **SIZES),
        "DebertaV2ForSequenceClassification: something stands between its layers",
    ),
    "one that counts blocks": (
        transformers.FunnelForSequenceClassification,
        transformers.FunnelConfig(vocab_size=60, block_sizes=[1, 1], d_model=48, n_head=4, d_head=12),
        "FunnelForSequenceClassification: .*cannot be shrunk",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_by_name(name, tmp_path):
    model, config, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        anatomy_of(write_config(tmp_path, model, config))


def test_a_model_of_which_nothing_can_go_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.shrink.anatomy.counts_of", lambda twin, coupling: None)
    with pytest.raises(ModelError, match="BertForSequenceClassification: no neurons or heads"):
        anatomy_of(FAMILIES["bert"].write_config(tmp_path))


def twin_of(name, directory):
    config = load_config(FAMILIES[name].write_config(directory))
    return build_twin(model_class(config), config)


def test_the_trial_finds_mistakes(tmp_path):
    twin = twin_of("bert", tmp_path)
    for coupling in couplings_of(twin):
        assert counts_of(twin, coupling) is not None
        for name, rows in coupling.feeders.items():
            without = {other: each for other, each in coupling.feeders.items() if other != name}
            assert counts_of(twin, dataclasses.replace(coupling, feeders=without)) is None
            mixed = {**coupling.feeders, name: rows.roll(1, dims=0)}
            assert counts_of(twin, dataclasses.replace(coupling, feeders=mixed)) is None


def test_a_trial_leaves_the_twin_as_it_was(tmp_path):
    twin = twin_of("gpt2", tmp_path)
    before = twin.run().detach()
    attributes = dict(vars(twin.layer.attn))
    for coupling in couplings_of(twin):
        counts_of(twin, coupling)
    assert torch.equal(twin.run().detach(), before)
    assert {name: vars(twin.layer.attn)[name] for name in ("num_heads", "split_size", "embed_dim")} == {
        name: attributes[name] for name in ("num_heads", "split_size", "embed_dim")
    }


def test_neither_random_numbers_nor_gradients_of_the_caller_matter(tmp_path):
    FAMILIES["deberta-v2"].write_config(tmp_path)
    state = torch.get_rng_state()
    with torch.no_grad():
        first = anatomy_of(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    second = anatomy_of(tmp_path)
    for one, other in zip(first.parts, second.parts, strict=True):
        assert [feeder.name for feeder in one.feeders] == [feeder.name for feeder in other.feeders]
        assert one.counts == other.counts


def test_position_projections_are_those_that_the_config_has(tmp_path):
    config = transformers.DebertaV2Config(**{**DISENTANGLED, "pos_att_type": ["c2p"]}, **SIZES)
    anatomy = anatomy_of(write_config(tmp_path, transformers.DebertaV2ForSequenceClassification, config))
    names = {feeder.name.rpartition(".")[2] for feeder in anatomy.parts[0].feeders}
    assert names == {"query_proj", "key_proj", "value_proj", "pos_key_proj"}
