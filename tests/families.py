"""Tiny random models of many families, and what can be taken away in a layer of each: by name in the layer."""

import copy
from types import MappingProxyType
from typing import NamedTuple

import torch
import transformers

SIZES = {
    "vocab_size": 60,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "pad_token_id": 0}
WITH_BUCKETS = {**DISENTANGLED, "position_buckets": 8, "norm_rel_ebd": "layer_norm"}


class Found(NamedTuple):
    """A part: how many units, how many columns each, the reader, and each feeder's rows of a unit.

    ``counts`` is None where versions of transformers differ.
    """

    units: int
    size: int
    reader: str
    feeders: dict
    counts: dict | None = MappingProxyType({})


class Family(NamedTuple):
    model: type
    config: transformers.PreTrainedConfig
    layers: str
    heads: Found | None
    neurons: Found

    @property
    def found(self):
        if self.heads is None:
            return [self.neurons]
        return [self.heads, self.neurons]

    def write_config(self, directory):
        self.config.architectures = [self.model.__name__]
        self.config.save_pretrained(directory)
        return directory

    def build(self):
        torch.manual_seed(0)
        model = self.model(copy.deepcopy(self.config)).eval()
        for parameter in model.parameters():
            # So that every part has its say: biases are zero in a new model, and other weights small.
            if parameter.dim() > 1:
                parameter.data.normal_(std=parameter.shape[-1] ** -0.5)
            else:
                parameter.data.add_(torch.randn_like(parameter) * 0.2)
        return model


def _bert_heads(**names):
    query, key, value = names.get("projections", ("query", "key", "value"))
    feeders = {f"attention.self.{name}": 12 for name in (query, key, value, *names.get("more", ()))}
    counts = {"attention.self.num_attention_heads": 1, "attention.self.all_head_size": 12}
    return Found(4, 12, "attention.output.dense", feeders, counts)


BERT_NEURONS = Found(96, 1, "output.dense", {"intermediate.dense": 1})
PROJECTIONS = {"projections": ("query_proj", "key_proj", "value_proj")}
GATED = Found(96, 1, "mlp.down_proj", {"mlp.gate_proj": 1, "mlp.up_proj": 1})

FAMILIES = {
    "bert": Family(
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**SIZES),
        "bert.encoder.layer",
        _bert_heads(),
        BERT_NEURONS,
    ),
    "roberta": Family(
        transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig(**SIZES),
        "roberta.encoder.layer",
        _bert_heads(),
        BERT_NEURONS,
    ),
    "xlm-roberta": Family(
        transformers.XLMRobertaForSequenceClassification,
        transformers.XLMRobertaConfig(**SIZES),
        "roberta.encoder.layer",
        _bert_heads(),
        BERT_NEURONS,
    ),
    "electra": Family(
        transformers.ElectraForSequenceClassification,
        transformers.ElectraConfig(embedding_size=24, **SIZES),
        "electra.encoder.layer",
        _bert_heads(),
        BERT_NEURONS,
    ),
    "distilbert": Family(
        transformers.DistilBertForSequenceClassification,
        transformers.DistilBertConfig(
            vocab_size=60, dim=48, n_layers=3, n_heads=4, hidden_dim=96, max_position_embeddings=32
        ),
        "distilbert.transformer.layer",
        Found(
            4,
            12,
            "attention.out_lin",
            {"attention.q_lin": 12, "attention.k_lin": 12, "attention.v_lin": 12},
            {"attention.n_heads": 1},
        ),
        Found(96, 1, "ffn.lin2", {"ffn.lin1": 1}),
    ),
    # Its table of relative positions has a column for each head, and all layers share it.
    "mpnet": Family(
        transformers.MPNetForSequenceClassification,
        transformers.MPNetConfig(**SIZES),
        "mpnet.encoder.layer",
        None,
        BERT_NEURONS,
    ),
    # Biases of query and value lie beside the fused matrix.
    "deberta": Family(
        transformers.DebertaForSequenceClassification,
        transformers.DebertaConfig(**DISENTANGLED, **SIZES),
        "deberta.encoder.layer",
        None,
        BERT_NEURONS,
    ),
    "deberta-v2": Family(
        transformers.DebertaV2ForSequenceClassification,
        transformers.DebertaV2Config(share_att_key=True, **WITH_BUCKETS, **SIZES),
        "deberta.encoder.layer",
        _bert_heads(**PROJECTIONS),
        BERT_NEURONS,
    ),
    "deberta-v2 with own position keys": Family(
        transformers.DebertaV2ForSequenceClassification,
        transformers.DebertaV2Config(share_att_key=False, **WITH_BUCKETS, **SIZES),
        "deberta.encoder.layer",
        _bert_heads(**PROJECTIONS, more=("pos_key_proj", "pos_query_proj")),
        BERT_NEURONS,
    ),
    "modernbert": Family(
        transformers.ModernBertForSequenceClassification,
        transformers.ModernBertConfig(
            local_attention=8,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            cls_token_id=1,
            sep_token_id=2,
            **SIZES,
        ),
        "model.layers",
        Found(4, 12, "attn.Wo", {"attn.Wqkv": 36}, None),
        Found(96, 1, "mlp.Wo", {"mlp.Wi": 2}),
    ),
    # Two heads share a key: a unit is both, 24 columns and 24 rows of query.
    "llama": Family(
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig(num_key_value_heads=2, **SIZES),
        "model.layers",
        Found(
            2,
            24,
            "self_attn.o_proj",
            {"self_attn.q_proj": 24, "self_attn.k_proj": 12, "self_attn.v_proj": 12},
        ),
        GATED,
    ),
    "gpt2": Family(
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(
            vocab_size=60, n_embd=48, n_layer=3, n_head=4, n_positions=32, bos_token_id=0, eos_token_id=0
        ),
        "transformer.h",
        Found(4, 12, "attn.c_proj", {"attn.c_attn": 36}, {"attn.num_heads": 1, "attn.split_size": 12}),
        Found(192, 1, "mlp.c_proj", {"mlp.c_fc": 1}),
    ),
    # Query and key are normalized over all heads.
    "olmo2": Family(
        transformers.Olmo2ForCausalLM,
        transformers.Olmo2Config(eos_token_id=0, **SIZES),
        "model.layers",
        None,
        GATED,
    ),
    "opt, whose activation is a ReLU": Family(
        transformers.OPTForCausalLM,
        transformers.OPTConfig(
            vocab_size=60,
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            ffn_dim=96,
            max_position_embeddings=32,
            word_embed_proj_dim=48,
        ),
        "model.decoder.layers",
        Found(
            4,
            12,
            "self_attn.out_proj",
            {"self_attn.q_proj": 12, "self_attn.k_proj": 12, "self_attn.v_proj": 12},
            {"self_attn.num_heads": 1},
        ),
        Found(96, 1, "fc2", {"fc1": 1}),
    ),
}
