"""The promises, on the real models."""

import pytest
import torch
import transformers
from safetensors.torch import load_file

import prensa
from prensa.checkpoint.kinds import Task
from prensa.pressing.recipe import Changes, adjusted, load_preset
from prensa.texts.columns import read_texts, sample
from prensa.texts.source import Source

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
    recipe = adjusted(load_preset(preset), Changes(format=form))
    manifest = prensa.compress(toxic, tmp_path / "out", recipe=recipe).manifest
    before, after = ((path / "model.safetensors").stat().st_size for path in (toxic, tmp_path / "out"))
    assert after <= share * before
    assert (manifest.nbytes, manifest.nbytes_before) == (after, before)


def test_half_is_the_nearest_float16_bit_for_bit(toxic, tmp_path):
    prensa.compress(toxic, tmp_path / "out", preset="half")
    original = load_file(toxic / "model.safetensors")
    state = prensa.load(tmp_path / "out").state_dict()
    for name, weight in original.items():
        assert torch.equal(state[name].view(torch.int16), weight.to(torch.float16).view(torch.int16)), name


@pytest.mark.parametrize(("preset", "shift"), [("half", 0.001), ("int8", 0.02), ("classic", 0.2)])
def test_predictions(toxic, tmp_path, preset, shift):
    prensa.compress(toxic, tmp_path / "out", preset=preset)
    before, after = probabilities(toxic), probabilities(tmp_path / "out")
    assert (before > 0.5).tolist() == (after > 0.5).tolist() == [False, True, False, True]
    assert (before - after).abs().max() < shift


def test_a_real_causal_model(shared, tmp_path):
    stories = shared / "models" / "stories260k"
    prensa.compress(stories, tmp_path / "out", preset="int8")
    ids = torch.arange(1, 65).reshape(1, 64)
    with torch.inference_mode():
        before = prensa.load(stories)(ids, labels=ids).loss
        after = prensa.load(tmp_path / "out", dtype=torch.float32)(ids, labels=ids).loss
    assert abs(float(after - before)) < 0.02 * float(before)


@pytest.fixture
def comments(shared):
    return shared / "data" / "toxic-comments" / "test.csv"


def test_accuracy_is_that_of_a_loop_written_by_hand(toxic, comments, tmp_path, quick):
    prensa.compress(toxic, tmp_path / "out")
    found = [
        prensa.evaluate(toxic, tmp_path / "out", data=Source(comments, limit=150), max_length=64)
        for _ in range(2)
    ]
    quality = found[0].results[0].quality
    assert quality == found[1].results[0].quality  # to the last digit
    texts = sample(read_texts(Source(comments), Task("classes", ("non-toxic", "toxic"))), 150)
    tokenizer = transformers.AutoTokenizer.from_pretrained(toxic)
    for path, expected in (
        (toxic, quality.metrics[0].original),
        (tmp_path / "out", quality.metrics[0].result),
    ):
        model = prensa.load(path, dtype=torch.float32)
        right = 0
        for text, label in zip(texts.texts, texts.labels, strict=True):
            batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            with torch.inference_mode():
                right += int(model(**batch).logits.argmax()) == int(label)
        assert right / 150 == expected
    assert quality.metrics[0].original > 0.85
    assert abs(quality.drop.value) < 0.02
    assert found[0].data.truncated > 0


def test_a_pressed_story_teller_foresees_stories_as_well(shared, tmp_path, quick):
    stories = shared / "models" / "stories260k"
    prensa.compress(stories, tmp_path / "out", preset="int8")
    story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
    (tmp_path / "stories.txt").write_text(f"{story}\n{story[:40]}\n")
    found = prensa.evaluate(stories, tmp_path / "out", data=tmp_path / "stories.txt")
    perplexity, bits = found.results[0].quality.metrics
    assert perplexity.original < 5
    assert bits.original < 1
    assert abs(found.results[0].quality.drop.value) < 0.05


def test_calibrated_on_the_tasks_texts(toxic, shared, comments, tmp_path, quick):
    """A fourteenth of the bytes; on so few comments accuracy is known to a few points only."""
    manifest = prensa.compress(
        toxic, tmp_path / "out", texts=shared / "data" / "toxic-comments" / "train.csv"
    ).manifest
    assert manifest.nbytes <= 0.075 * manifest.nbytes_before
    assert manifest.calibration.unreached == ()
    found = prensa.evaluate(toxic, tmp_path / "out", data=Source(comments, limit=150), max_length=64)
    assert found.results[0].quality.drop.value <= 0.02
    assert found.results[0].quality.figures[0].value >= 0.96


def test_a_calibrated_story_teller(shared, tmp_path, quick):
    stories = shared / "models" / "stories260k"
    texts = tmp_path / "stories.txt"
    names = ("Lily", "Tom", "Ben", "Anna", "Sam", "Mia", "Max", "Sue", "Tim", "Amy")
    texts.write_text(
        "".join(f"Once upon a time, there was a little child named {n}. {n} loved to play.\n" for n in names)
    )
    prensa.compress(stories, tmp_path / "out", texts=texts)
    found = prensa.evaluate(stories, tmp_path / "out", data=texts)
    perplexity = found.results[0].quality.metrics[0]
    assert perplexity.result < 1.03 * perplexity.original
