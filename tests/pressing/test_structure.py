"""Models with layers of uneven widths: pressed, compared with what they were made of, judged, exported."""

import json

import pytest
import torch
from tests.conftest import add_tokenizer, build_model, change_weights
from tests.narrow import PLACES, shrunk

import prensa
from prensa.checkpoint.names import check_names
from prensa.checkpoint.roles import model_shape
from prensa.checkpoint.structure import structure_of
from prensa.errors import OutputError, RecipeError
from prensa.pressing import pipeline
from prensa.pressing.recipe import Changes, adjusted, load_preset

NEURONS = "deberta.encoder.layer.0.intermediate.dense.weight"


@pytest.fixture
def narrow(tmp_path):
    add_tokenizer(build_model("deberta", tmp_path / "model"))
    shrunk(tmp_path / "model", tmp_path / "narrow", "deberta")
    return tmp_path / "narrow"


def structure_in(directory):
    return structure_of(json.loads((directory / "config.json").read_text()))


@pytest.mark.parametrize("family", sorted(PLACES))
@pytest.mark.parametrize("preset", ["int8", "half"])
def test_the_structure_is_carried_on(family, preset, tmp_path):
    build_model(family, tmp_path / "model")
    shrunk(tmp_path / "model", tmp_path / "narrow", family)
    prensa.compress(tmp_path / "narrow", tmp_path / "packed", preset=preset)
    assert structure_in(tmp_path / "packed") == structure_in(tmp_path / "narrow")
    assert model_shape(tmp_path / "packed").parameters == model_shape(tmp_path / "narrow").parameters
    check_names(tmp_path / "packed")


@pytest.mark.parametrize(("preset", "form"), [("half", "plain"), ("int8", "bitsandbytes")])
def test_formats_that_cannot_hold_it_are_refused_in_the_plan(narrow, tmp_path, preset, form):
    recipe = adjusted(load_preset(preset), Changes(format=form))
    with pytest.raises(
        RecipeError, match=f"format {form}: cannot hold layers of uneven.*need `format=packed`"
    ):
        pipeline.plan(narrow, recipe, tmp_path / "out")
    plan = pipeline.plan(narrow, load_preset("int8"), tmp_path / "out")
    with pytest.raises(RecipeError, match="uneven widths"):
        plan.with_recipe(recipe, tmp_path / "other")
    pipeline.plan(tmp_path / "model", recipe, tmp_path / "out")  # it is not the model as such


def test_sizes_and_name_are_those_of_the_original(narrow, tmp_path):
    change_weights(tmp_path / "model", lambda tensors: tensors.update(extra=torch.ones(9)))
    alone = pipeline.run(pipeline.plan(narrow, load_preset("int8"), tmp_path / "alone"))
    plan = pipeline.plan(narrow, load_preset("int8"), tmp_path / "out", original=tmp_path / "model")
    manifest = pipeline.run(plan)
    original = pipeline.run(pipeline.plan(tmp_path / "model", load_preset("int8"), tmp_path / "whole"))
    assert manifest.nbytes_before == original.nbytes_before == plan.before.nbytes
    assert manifest.nbytes_float32 == original.nbytes_float32
    assert alone.nbytes_before < manifest.nbytes_before
    assert alone.nbytes_float32 < manifest.nbytes_float32
    assert (manifest.tensors, manifest.files) == (alone.tensors, alone.files)
    assert [note for note in manifest.notes if "extra" in note and "left out" in note]
    assert "# model, pressed" in (tmp_path / "out" / "README.md").read_text()
    assert "# narrow, pressed" in (tmp_path / "alone" / "README.md").read_text()


def test_the_original_is_not_overwritten_by_chance(narrow, tmp_path):
    with pytest.raises(OutputError, match="lies inside the model directory"):
        pipeline.plan(narrow, load_preset("int8"), tmp_path / "model" / "x", original=tmp_path / "model")
    plan = pipeline.plan(narrow, load_preset("int8"), tmp_path / "out", original=tmp_path / "model")
    with pytest.raises(OutputError, match="is not empty"):
        plan.with_recipe(plan.recipe, tmp_path / "model")
    over = pipeline.plan(
        narrow, load_preset("int8"), tmp_path / "model", original=tmp_path / "model", force=True
    )
    pipeline.run(over)
    assert structure_in(tmp_path / "model") == structure_in(narrow)


def test_a_narrower_model_is_calibrated_judged_and_exported(narrow, texts, few_texts, tmp_path, quick):
    prensa.compress(narrow, tmp_path / "small", preset="small", texts=texts, noise=0.01)
    evaluation = prensa.evaluate(narrow, tmp_path / "small", data=texts)
    assert evaluation.results[0].quality.agreement.value > 0.8
    record = prensa.export(narrow, tmp_path / "exported", to="onnxruntime", precision="fp32", texts=few_texts)
    assert record.difference < 1e-3
    assert "quantization_config" not in json.loads((tmp_path / "exported" / "config.json").read_text())


def test_a_served_narrower_model_gives_the_same_answers(narrow):
    plain, served = prensa.load(narrow), prensa.load(narrow, runtime="torch", dtype=torch.float32)
    ids = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 21, 3, 0]])
    mask = (ids > 0).long()
    with torch.inference_mode():
        expected = plain(ids, attention_mask=mask).logits
    assert torch.allclose(served(input_ids=ids, attention_mask=mask).logits, expected, atol=1e-4)
