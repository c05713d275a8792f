"""A tiny model with an encoder and a decoder, which writes texts of single characters."""

import torch
import transformers

from tests.bert import tokenizer

START, END = 2, 3


def bart(directory, positions=64):
    """Save a model whose texts depend on what it reads."""
    torch.manual_seed(0)
    config = transformers.BartConfig(
        vocab_size=200,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=positions,
        init_std=0.5,
        pad_token_id=0,
        bos_token_id=START,
        eos_token_id=END,
        decoder_start_token_id=START,
        forced_eos_token_id=END,
    )
    transformers.BartForConditionalGeneration(config).eval().save_pretrained(directory)
    made = tokenizer(positions)
    made.model_input_names = ["input_ids", "attention_mask"]
    made.save_pretrained(directory)
    return directory
