"""The promises, on the real models."""

import pytest
import torch
import transformers
from safetensors.torch import load_file

import prensa
from prensa.recipe import adjusted, load_preset

COMMENTS = [
    "Thank you for the quick answer, that was very helpful.",
    "You are a stupid liar and everybody knows it.",
    "The second figure is wrong, see the report of 2004.",
    "Shut up, you disgusting idiot.",
]


@pytest.fixture(scope="module")
def toxic(shared):
    return shared / "models" / "toxic-deberta"


def probabilities(path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = prensa.load(path, dtype=torch.float32)
    batch = tokenizer(COMMENTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(**batch).logits.softmax(dim=-1)[:, 1]


@pytest.mark.parametrize(
    ("preset", "form", "share"),
    [("classic", "bitsandbytes", 0.39), ("classic", "packed", 0.22), ("half", "packed", 0.43)],
)
def test_sizes(toxic, tmp_path, preset, form, share):
    recipe = adjusted(load_preset(preset), format=form)
    manifest = prensa.compress(toxic, tmp_path / "out", recipe=recipe)
    before, after = ((path / "model.safetensors").stat().st_size for path in (toxic, tmp_path / "out"))
    assert after <= share * before
    assert (manifest.nbytes, manifest.nbytes_before) == (after, before)


def test_half_is_the_nearest_float16_bit_for_bit(toxic, tmp_path):
    prensa.compress(toxic, tmp_path / "out", recipe="half")
    original = load_file(toxic / "model.safetensors")
    state = prensa.load(tmp_path / "out").state_dict()
    for name, weight in original.items():
        assert torch.equal(state[name].view(torch.int16), weight.to(torch.float16).view(torch.int16)), name


@pytest.mark.parametrize(("preset", "shift"), [("half", 0.001), ("int8", 0.02), ("classic", 0.2)])
def test_predictions(toxic, tmp_path, preset, shift):
    prensa.compress(toxic, tmp_path / "out", recipe=preset)
    before, after = probabilities(toxic), probabilities(tmp_path / "out")
    assert (before > 0.5).tolist() == (after > 0.5).tolist() == [False, True, False, True]
    assert (before - after).abs().max() < shift


def test_a_real_causal_model(shared, tmp_path):
    stories = shared / "models" / "stories260k"
    prensa.compress(stories, tmp_path / "out", recipe="int8")
    ids = torch.arange(1, 65).reshape(1, 64)
    with torch.inference_mode():
        before = prensa.load(stories)(ids, labels=ids).loss
        after = prensa.load(tmp_path / "out", dtype=torch.float32)(ids, labels=ids).loss
    assert abs(float(after - before)) < 0.02 * float(before)
