"""Layer by layer a model has the statistics that it has as a whole, to the last bit, and is compressed to the same bytes."""

import dataclasses
import errno
import shutil

import pytest
import torch
import transformers
from tests.calibration.test_collect import ARCHITECTURES, MULTIPLYING, SMALL, planned
from tests.conftest import FAMILIES, add_tokenizer, change_weights, leftovers

from prensa.calibration import spill, streamed
from prensa.calibration.collect import collect, collected
from prensa.calibration.streaming import Streaming
from prensa.errors import ModelError, OutputError

LAYERS = {
    "bert": "bert.encoder.layer",
    "deberta-v1": "deberta.encoder.layer",
    "deberta": "deberta.encoder.layer",
    "deberta-mlm": "deberta.encoder.layer",
    "mobilebert-mlm": "mobilebert.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "electra": "electra.encoder.layer",
    "gpt2": "transformer.h",
    "llama": "model.layers",
    "t5-encoder": "encoder.block",
}
MODELS = ARCHITECTURES | FAMILIES | MULTIPLYING


def built(name, directory):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data *= 2
    model.save_pretrained(directory)
    return add_tokenizer(directory)


def layer_by_layer(plan, layers, held=0):
    return dataclasses.replace(plan, streaming=Streaming(layers, memory=0, held=held, disk=0, weights=0))


def differing(some, others):
    """Name the matrices of which something differs."""
    names = set(some.matrices) ^ set(others.matrices)
    for name in set(some.matrices) - names:
        one, other = some.matrices[name], others.matrices[name]
        offsets = (one.offset, other.offset)
        same_offset = offsets == (None, None) or torch.equal(*offsets)
        same_moment = torch.equal(one.moment.whole(), other.moment.whole())
        if not same_offset or not same_moment or not torch.equal(one.importance, other.importance):
            names.add(name)
    return names


@pytest.mark.parametrize("name", LAYERS)
def test_statistics_are_the_same_to_the_last_bit(name, tmp_path):
    plan = planned(built(name, tmp_path / "model"), 24)
    whole = collect(plan)
    with collected(layer_by_layer(plan, LAYERS[name]), tmp_path / "out") as found:
        assert differing(found, whole) == set()
        assert found.weights == whole.weights
    assert not leftovers(tmp_path)


def test_they_are_the_same_where_layers_give_what_stays_in_memory(tmp_path):
    plan = planned(built("deberta", tmp_path / "model"), 24)
    whole = collect(plan)
    with collected(layer_by_layer(plan, LAYERS["deberta"], 1 << 30), tmp_path / "out") as found:
        assert differing(found, whole) == set()


def test_weights_in_half_precision_are_read_as_the_library_reads_them(tmp_path):
    torch.manual_seed(0)
    FAMILIES["llama"]().to(torch.bfloat16).save_pretrained(tmp_path / "model", max_shard_size="40KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    plan = planned(add_tokenizer(tmp_path / "model"), 12)
    whole = collect(plan)
    with collected(layer_by_layer(plan, LAYERS["llama"]), tmp_path / "out") as found:
        assert differing(found, whole) == set()


def test_one_layer_is_there_at_a_time(tmp_path, monkeypatch):
    plan = planned(built("llama", tmp_path / "model"), 12)
    seen = []
    run = streamed.Joints.run

    def watched(joints, *arguments):
        present = [not layer.mlp.up_proj.weight.isnan().any() for layer in joints._layers]
        seen.append(sum(present))
        return run(joints, *arguments)

    monkeypatch.setattr(streamed.Joints, "run", watched)
    with collected(layer_by_layer(plan, LAYERS["llama"]), tmp_path / "out"):
        assert set(seen) == {0, 1}


def test_what_stands_between_layers_gets_its_gradients(tmp_path):
    torch.manual_seed(0)
    config = transformers.DebertaV2Config(
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        conv_kernel_size=3,
        conv_act="gelu",
        max_position_embeddings=64,
        **SMALL,
    )
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(tmp_path / "model")
    plan = planned(add_tokenizer(tmp_path / "model"), 24)
    whole = collect(plan)
    with collected(layer_by_layer(plan, LAYERS["deberta"]), tmp_path / "out") as found:
        assert differing(found, whole) == set()


def test_a_model_that_calls_a_layer_twice_is_refused(tmp_path):
    plan = planned(built("albert", tmp_path / "model"), 12)
    with (
        pytest.raises(ModelError, match="AlbertFor.* in another order than it lists them.*`preset=int8`"),
        collected(layer_by_layer(plan, "albert.encoder.albert_layer_groups"), tmp_path / "out"),
    ):
        pass
    assert not leftovers(tmp_path)


def test_another_value_for_a_tied_weight_is_refused(tmp_path):
    built("gpt2", tmp_path / "model")

    def untie(tensors):
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"] + 1

    change_weights(tmp_path / "model", untie)
    plan = planned(tmp_path / "model", 12)
    with (
        pytest.raises(ModelError, match="lm_head.weight holds other values than transformer.wte.weight"),
        collected(layer_by_layer(plan, LAYERS["gpt2"]), tmp_path / "out"),
    ):
        pass


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    plan = planned(built("llama", tmp_path / "model"), 12)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill, "_write", full)
    with (
        pytest.raises(OutputError, match="out: the disk is full; nothing was changed"),
        collected(layer_by_layer(plan, LAYERS["llama"]), tmp_path / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_interruption_leaves_nothing_behind(tmp_path):
    plan = planned(built("llama", tmp_path / "model"), 12)

    def stop(stage, done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        collected(layer_by_layer(plan, LAYERS["llama"]), tmp_path / "out", stop),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_shard_that_is_cut_short_meanwhile_is_named(tmp_path):
    plan = planned(built("llama", tmp_path / "model"), 12)
    shard = tmp_path / "model" / "model.safetensors"

    def cut(stage, done, total):
        content = shard.read_bytes()
        shard.write_bytes(content[: len(content) // 2])

    with (
        pytest.raises(ModelError, match="model.safetensors: was written by another program"),
        collected(layer_by_layer(plan, LAYERS["llama"]), tmp_path / "out", cut),
    ):
        pass
    shutil.rmtree(tmp_path / "model")
    assert not list(tmp_path.iterdir())
