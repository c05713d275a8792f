"""One small model of each family of tokenizers, trained on the built-in texts."""

import tokenizers
import torch
import transformers
from tests.conftest import SIZES
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from prensa.texts.columns import built_in_texts

CORPUS = [
    *filter(str.isascii, built_in_texts().texts),
    "naïve café crème",
    "Привет, мир! Как дела?",
    "日本語 テスト",
] * 2
SIZE = 420


def _unigram():
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trainer = trainers.UnigramTrainer(vocab_size=SIZE, special_tokens=special, unk_token="[UNK]")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["[MASK]"])
    _marks(tokenizer, "[CLS]", "[SEP]")
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return tokenizer, {**names, "mask_token": "[MASK]"}


def _wordpiece():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=special))
    _marks(tokenizer, "[CLS]", "[SEP]")
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return tokenizer, {**names, "mask_token": "[MASK]"}


def _byte_bpe():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))
    )
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def _character_bpe():
    """As Llama 2's: bytes behind characters that have no piece."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    trained.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=256 + SIZE, special_tokens=special, limit_alphabet=60)
    )
    import json

    model = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = tokenizers.Tokenizer(
        models.BPE(model["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def _marks(tokenizer, first, last):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in (first, last)],
    )


def _deberta(rows):
    config = transformers.DebertaV2Config(
        vocab_size=rows, max_position_embeddings=64, relative_attention=True, position_buckets=8, **SIZES
    )
    return transformers.DebertaV2ForSequenceClassification(config)


def _bert(rows):
    config = transformers.BertConfig(vocab_size=rows, max_position_embeddings=64, **SIZES)
    return transformers.BertForMaskedLM(config)


def _gpt2(rows):
    config = transformers.GPT2Config(vocab_size=rows, n_embd=48, n_layer=2, n_head=4, n_positions=64)
    return transformers.GPT2LMHeadModel(config)


def _roberta(rows):
    config = transformers.RobertaConfig(vocab_size=rows, max_position_embeddings=66, pad_token_id=1, **SIZES)
    return transformers.RobertaForSequenceClassification(config)


def _llama(rows):
    config = transformers.LlamaConfig(
        vocab_size=rows, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, **SIZES
    )
    return transformers.LlamaForCausalLM(config)


def _t5(rows):
    config = transformers.T5Config(
        vocab_size=rows, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    return transformers.T5EncoderModel(config)


FAMILIES = {
    "deberta, unigram": (_unigram, _deberta),
    "t5, unigram": (_unigram, _t5),
    "bert, wordpiece": (_wordpiece, _bert),
    "gpt2, byte bpe": (_byte_bpe, _gpt2),
    "roberta, byte bpe": (_byte_bpe, _roberta),
    "llama, character bpe": (_character_bpe, _llama),
}


def build(family, path):
    """Write a model with more rows than its tokenizer has pieces, as DeBERTa-v3 has."""
    make_tokenizer, make_model = FAMILIES[family]
    tokenizer, names = make_tokenizer()
    torch.manual_seed(0)
    model = make_model(tokenizer.get_vocab_size() + 3).eval()
    for key in ("pad_token", "bos_token", "eos_token"):
        if key in names:
            setattr(model.config, f"{key}_id", tokenizer.token_to_id(names[key]))
    if model.can_generate():
        model.generation_config = transformers.GenerationConfig.from_model_config(model.config)
    model.save_pretrained(path)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )
    fast.save_pretrained(path)
    return path
