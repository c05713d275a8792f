"""Tiny BERT models of one layer with any head, a tokenizer that tells two texts apart, and modules around."""

import json

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import models, pre_tokenizers, processors

LIBRARY = "sentence_transformers.models."


def bert(directory, head="BertModel", positions=32, **settings):
    """Save a model; weights are large enough for every input to matter."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        initializer_range=0.3,
        **settings,
    )
    getattr(transformers, head)(config).eval().save_pretrained(directory)
    tokenizer(positions).save_pretrained(directory)
    return directory


def tokenizer(longest):
    """Make one with a token for each character, of which those of a word belong together."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(code) for code in range(33, 127)]
    pieces = [*special, *characters, *(f"##{each}" for each in characters)]
    made = tokenizers.Tokenizer(
        models.WordPiece({each: at for at, each in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=longest,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **dict(zip(names, special, strict=True)),
    )


def around(directory, *modules, inputs=None, settings=None, inside=""):
    """Put modules behind the Transformer that lies in ``inside``: each a kind, its config, its weights."""
    listed = [("Transformer", {}, {}), *modules]
    entries = []
    for index, (kind, config, weights) in enumerate(listed):
        folder = directory / (f"{index}_{kind}" if index else inside)
        path = folder.name if index else inside
        full = kind if "." in kind else LIBRARY + kind
        entries.append({"idx": index, "name": str(index), "path": path, "type": full})
        folder.mkdir(exist_ok=True)
        if index and config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        if weights:
            save_file(weights, folder / "model.safetensors")
    (directory / "modules.json").write_text(json.dumps(entries))
    if inputs is not None:
        (directory / inside / "sentence_bert_config.json").write_text(json.dumps(inputs))
    if settings is not None:
        (directory / "config_sentence_transformers.json").write_text(json.dumps(settings))
    return directory


def pooling(modes="mean", **more):
    return ("Pooling", {"embedding_dimension": 32, "pooling_mode": modes, **more}, {})


def dense(size_in, size_out, **more):
    generator = torch.Generator().manual_seed(size_out)
    weights = {
        "linear.weight": torch.randn(size_out, size_in, generator=generator),
        "linear.bias": torch.randn(size_out, generator=generator),
    }
    if more.get("use_residual") and size_in != size_out:
        weights["residual.weight"] = torch.randn(size_out, size_in, generator=generator)
    return ("Dense", {"in_features": size_in, "out_features": size_out, **more}, weights)
