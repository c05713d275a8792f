"""Models with trimmed vocabularies answer as before, and no text becomes unknown that was not."""

import json
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.vocabulary.families import FAMILIES, build

import prensa
from prensa import TrimVocabulary
from prensa.checkpoint.manifest import load_manifest
from prensa.passes import Half
from prensa.pressing import pipeline
from prensa.pressing.recipe import Recipe
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.texts.tokenizers import load_tokenizer
from prensa.vocabulary.plan import plan_vocabulary

TEXTS = ["The cat sat on the mat.", "A naïve question: what is it?", "Numbers such as 12 and 345."] * 3
each_family = pytest.mark.parametrize("family", FAMILIES)


def trim(original, output, texts=TEXTS, **chosen):
    file = output.parent / "texts.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    recipe = Recipe((), format="plain", trim_vocabulary=TrimVocabulary(**chosen))
    return prensa.compress(original, output, recipe=recipe, texts=file).manifest


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory):
    made = {}

    def get(family):
        if family not in made:
            place = tmp_path_factory.mktemp("trimmed")
            original = build(family, place / "original")
            trim(original, place / "out")
            models = [_aligned(prensa.load(path)) for path in (original, place / "out")]
            tokenizers = [load_tokenizer(path) for path in (original, place / "out")]
            kept = load_manifest(place / "out").vocabulary.kept
            made[family] = (models, tokenizers, kept, place)
        return made[family]

    return get


def _aligned(model):
    """Move weights to where kernels find them alike: in a file they lie at any multiple of eight bytes."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model.eval()


def output_of(model, ids):
    with torch.inference_mode():
        found = model(input_ids=torch.tensor([ids]))
    return found["logits"] if "logits" in found else found["last_hidden_state"]


def vectors_of(model, ids):
    """What the output layer is given."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]


@each_family
def test_fewer_rows_everywhere(family, trimmed):
    (before, after), (old, new), kept, place = trimmed(family)
    assert len(new) == len(kept) == after.config.vocab_size < len(old)
    assert after.get_input_embeddings().weight.shape[0] == len(kept)
    assert torch.equal(
        after.get_input_embeddings().weight, before.get_input_embeddings().weight[torch.tensor(kept)]
    )
    if after.get_output_embeddings() is not None:
        assert after.get_output_embeddings().weight.shape[0] == len(kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        number = getattr(before.config, name, None)
        if isinstance(number, int):
            assert getattr(after.config, name) == kept.index(number)
    generation = place / "out" / "generation_config.json"
    if generation.is_file():
        asked = json.loads(generation.read_text())
        was = json.loads((place / "original" / "generation_config.json").read_text())
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if was.get(name) is not None:
                assert asked[name] == kept.index(was[name])


@each_family
def test_texts_of_kept_pieces_are_cut_as_before_and_answered_bit_for_bit(family, trimmed):
    (before, after), (old, new), kept, _ = trimmed(family)
    for text in [*TEXTS, "The mat is what the cat sat on.", ""]:
        ids, other = (each(text)["input_ids"] for each in (old, new))
        if not set(ids) <= set(kept):
            continue
        assert [kept[each] for each in other] == ids
        if not ids:
            continue
        one, two = output_of(before, ids), output_of(after, other)
        if one.shape[-1] == before.config.vocab_size:  # a product with fewer columns is summed up otherwise
            assert torch.allclose(one[..., torch.tensor(kept)], two, atol=1e-6)
            one, two = (vectors_of(*each) for each in ((before, ids), (after, other)))
        assert torch.equal(one, two)


@each_family
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 10_000), min_size=1, max_size=12))
def test_any_text_made_of_kept_pieces(family, trimmed, numbers):
    """A text is that if the original cuts it into them: pieces in a row may also be cut in another way."""
    _, (old, new), kept, _ = trimmed(family)
    text = old.decode([kept[number % len(kept)] for number in numbers], skip_special_tokens=True)
    ids = old(text)["input_ids"]
    if set(ids) <= set(kept):
        assert [kept[each] for each in new(text)["input_ids"]] == ids


@each_family
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30) | st.text("abcdefghijklmnopqrstuvwxyz ,.é", max_size=30))
def test_any_text_is_cut_and_no_new_unknown_piece_comes(family, trimmed, text):
    _, (old, new), _, _ = trimmed(family)
    before, after = old(text)["input_ids"], new(text)["input_ids"]
    if old.unk_token_id is None or old.unk_token_id not in before:
        assert new.unk_token_id is None or new.unk_token_id not in after
    assert max(after, default=0) < len(new)


@each_family
@pytest.mark.parametrize("preset", ["half", "int8", "small", "classic"])
def test_it_goes_with_every_preset(family, trimmed, tmp_path, preset):
    *_, place = trimmed(family)
    found = prensa.compress(
        place / "original",
        tmp_path / "out",
        preset=preset,
        trim_vocabulary=TrimVocabulary(),
        texts=place / "texts.jsonl",
    ).manifest
    assert found.vocabulary.kept == load_manifest(place / "out").vocabulary.kept
    assert found.nbytes_before == (place / "original" / "model.safetensors").stat().st_size
    after = prensa.load(tmp_path / "out", dtype=torch.float32).eval()
    assert after.config.vocab_size == len(found.vocabulary.kept)
    assert torch.isfinite(output_of(after, [3, 4, 5])).all()
    assert prensa.inspect(tmp_path / "out") == found


@each_family
def test_a_number_of_pieces(family, trimmed, tmp_path):
    *_, kept, place = trimmed(family)
    fewest = len(kept)
    found = trim(place / "original", tmp_path / "out", pieces=fewest + 20).vocabulary
    assert fewest < len(found.kept) <= fewest + 20
    assert found.covered == found.unchanged == 1.0
    few = trim(place / "original", tmp_path / "few", pieces=fewest - 5).vocabulary
    assert len(few.kept) <= fewest - 5
    assert few.covered < 1.0


def test_coverage_and_languages(trimmed, tmp_path):
    *_, place = trimmed("deberta, unigram")
    vocabularies = {}
    for name, chosen in {
        "all": {},
        "most": {"coverage": 0.8},
        "russian": {"languages": ("ru",)},
        "kept": {"coverage": 0.8, "keep": ("▁the",)},
    }.items():
        vocabularies[name] = trim(place / "original", tmp_path / name, **chosen).vocabulary
    assert 0.8 <= vocabularies["most"].covered < 1
    assert len(vocabularies["most"].kept) < len(vocabularies["all"].kept)
    numbers = load_tokenizer(place / "original").get_vocab()
    russian = {number for piece, number in numbers.items() if "и" in piece}
    assert russian
    assert russian <= set(vocabularies["russian"].kept)
    assert numbers["▁the"] in vocabularies["kept"].kept


def test_the_plan_writes_nothing_and_tells_what_stays(trimmed, tmp_path):
    *_, place = trimmed("deberta, unigram")
    vocabulary = plan_vocabulary(
        place / "original", TrimVocabulary(), Source(place / "texts.jsonl"), library=Library()
    )
    recipe = Recipe((Half(),), format="plain", trim_vocabulary=TrimVocabulary())
    plan = pipeline.plan(place / "original", recipe, tmp_path / "out", vocabulary=vocabulary)
    assert (vocabulary.report.covered, vocabulary.report.unchanged) == (1.0, 1.0)
    assert plan.nbytes < plan.checkpoint.nbytes / 2
    assert not (tmp_path / "out").exists()


def test_the_same_bytes_every_time_and_from_the_written_recipe(trimmed, tmp_path):
    *_, place = trimmed("gpt2, byte bpe")
    trim(place / "original", tmp_path / "out")
    recipe = prensa.load_recipe(tmp_path / "out" / "recipe.toml")
    prensa.compress(place / "original", tmp_path / "again", recipe=recipe, texts=tmp_path / "texts.jsonl")
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_a_pickled_checkpoint(trimmed, tmp_path):
    *_, kept, place = trimmed("deberta, unigram")
    shutil.copytree(place / "original", tmp_path / "original")
    weights = load_file(tmp_path / "original" / "model.safetensors")
    torch.save(weights, tmp_path / "original" / "pytorch_model.bin")
    (tmp_path / "original" / "model.safetensors").unlink()
    trim(tmp_path / "original", tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        place / "out" / "model.safetensors"
    ).read_bytes()


def test_a_table_that_is_stored_under_both_of_its_names(trimmed, tmp_path):
    """As in a ``pytorch_model.bin`` of a state dict: its dropped rows are subtracted once, not twice."""
    *_, place = trimmed("bert, wordpiece")
    weights = prensa.load(place / "original").state_dict()
    written = []
    for name in ("both names", "one name"):
        shutil.copytree(place / "original", tmp_path / name)
        (tmp_path / name / "model.safetensors").unlink()
        torch.save(weights, tmp_path / name / "pytorch_model.bin")
        prensa.compress(
            tmp_path / name,
            tmp_path / f"{name}, small",
            preset="small",
            trim_vocabulary=TrimVocabulary(),
            texts=place / "texts.jsonl",
        )
        written.append(load_file(tmp_path / f"{name}, small" / "model.safetensors"))
        for tied in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"):
            weights.pop(tied, None)
    both, one = written
    assert both.keys() == one.keys()
    assert all(value.equal(one[name]) for name, value in both.items())
