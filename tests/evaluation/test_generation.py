import numpy as np
import pytest
import torch
import transformers
from tests.seq2seq import END, START, bart

from prensa.evaluation import generation
from prensa.evaluation.generation import text_of, write, write_some


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = bart(tmp_path_factory.mktemp("bart") / "model")
    network = transformers.AutoModelForSeq2SeqLM.from_pretrained(directory).eval()
    return network, transformers.AutoTokenizer.from_pretrained(directory)


def batch_of(tokenizer, *texts):
    return tokenizer(list(texts), padding=True, return_tensors="pt")


def by_hand(network, tokenizer, text, most):
    """The likeliest token after the other, each time from the beginning."""
    tokens = tokenizer(text, return_tensors="pt")
    written = [START]
    with torch.no_grad():
        while len(written) <= most and END not in written:
            logits = network(**tokens, decoder_input_ids=torch.tensor([written])).logits[0, -1]
            written.append(END if len(written) == most else int(logits.argmax()))
    return tokenizer.decode(written, skip_special_tokens=True).strip()


def test_texts_are_the_likeliest_tokens_one_by_one(model, monkeypatch):
    monkeypatch.setattr(generation, "MOST_TOKENS", 12)
    network, tokenizer = model
    # What a checkpoint asks for otherwise is left out.
    network.generation_config.update(num_beams=4, do_sample=True, early_stopping=True, min_length=5)
    texts = ["b c d", "x", "hello world"]
    found = [text_of(text) for text in write(network, batch_of(tokenizer, *texts), tokenizer)]
    assert found == [by_hand(network, tokenizer, text, 12) for text in texts]
    assert len(set(found)) > 1
    assert network.generation_config.num_beams == 4


@pytest.mark.parametrize(
    "asked",
    [
        {"return_dict_in_generate": True, "output_scores": True},
        {"stop_strings": ["s"]},
        {"repetition_penalty": 5.0},
        {"exponential_decay_length_penalty": (2, 5.0)},
        {"max_time": 1e-9},
        {"prompt_lookup_num_tokens": 3},
        {"remove_invalid_values": True, "renormalize_logits": True},
    ],
)
def test_nothing_else_that_a_checkpoint_asks_for_counts(model, monkeypatch, asked):
    monkeypatch.setattr(generation, "MOST_TOKENS", 12)
    monkeypatch.setattr(generation, "TIMED_TOKENS", 2)
    network, tokenizer = model
    batch = batch_of(tokenizer, "b c d", "x")
    plain = [text_of(text) for text in write(network, batch, tokenizer)]
    own = network.generation_config
    asking = transformers.GenerationConfig(**{**own.to_dict(), **asked})
    monkeypatch.setattr(network, "generation_config", asking)
    assert [text_of(text) for text in write(network, batch, tokenizer)] == plain
    write_some(network, batch)
    assert network.generation_config is asking


def test_tokens_that_a_checkpoint_forbids_are_not_written(model, monkeypatch):
    monkeypatch.setattr(generation, "MOST_TOKENS", 12)
    network, tokenizer = model
    batch = batch_of(tokenizer, "b c d")
    (plain,) = write(network, batch, tokenizer)
    first = text_of(plain)[0]
    own = network.generation_config.to_dict()
    forbidding = transformers.GenerationConfig(
        **{**own, "suppress_tokens": [tokenizer.convert_tokens_to_ids(first)]}
    )
    monkeypatch.setattr(network, "generation_config", forbidding)
    (other,) = write(network, batch, tokenizer)
    assert first not in text_of(other).split()


def test_a_text_without_numbers_is_none(model, monkeypatch):
    network, tokenizer = model
    batch = batch_of(tokenizer, "b c", "d e")
    real = type(network).forward

    def broken(self, *arguments, **given):
        output = real(self, *arguments, **given)
        output.logits[0] = torch.nan
        return output

    monkeypatch.setattr(type(network), "forward", broken)
    first, second = write(network, batch, tokenizer)
    assert np.isnan(first).all()
    assert np.isfinite(second).all()


def test_as_many_tokens_are_timed_whatever_the_text(model, monkeypatch):
    network, tokenizer = model
    steps = []
    monkeypatch.setattr(generation, "TIMED_TOKENS", 7)
    hook = network.register_forward_hook(lambda *_: steps.append(1))
    for text in ("b", "c d e"):
        write_some(network, batch_of(tokenizer, text))
    hook.remove()
    assert len(steps) == 14
