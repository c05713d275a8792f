import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.conftest import SIZES, build_model, change_config, change_weights, directory_bytes, leftovers

import prensa
from prensa.checkpoint.directory import hidden_beside
from prensa.errors import ModelError, OutputError, PrensaError, RecipeError
from prensa.ops import parallel
from prensa.ops.sparsity import count_zeros
from prensa.passes import Half, Prune, Quantize, Threshold
from prensa.pressing import pipeline
from prensa.pressing import plan as plan_module
from prensa.pressing.recipe import Changes, Recipe, adjusted, load_preset, load_recipe
from prensa.vocabulary.settings import TrimVocabulary

WEIGHT = "deberta.encoder.layer.0.intermediate.dense.weight"


def test_plain_half_precision_is_the_nearest_float16(model, tmp_path):
    manifest = prensa.compress(
        model, tmp_path / "out", recipe=adjusted(load_preset("half"), Changes(format="plain"))
    ).manifest
    before, after = (load_file(path / "model.safetensors") for path in (model, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], before[name].to(torch.float16)) for name in before)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float16"
    assert manifest.nbytes == (tmp_path / "out" / "model.safetensors").stat().st_size


def test_pruning_is_exact_per_tensor_and_only_of_linear_layers(model, tmp_path):
    recipe = Recipe((Prune(amount=0.37),), format="plain")
    manifest = prensa.compress(model, tmp_path / "out", recipe=recipe).manifest
    after = load_file(tmp_path / "out" / "model.safetensors")
    for report in manifest.tensors:
        expected = round(0.37 * report.numel) if report.role == "linear" else 0
        assert count_zeros(after[report.name]) >= expected
        assert report.passes == () or report.passes[0].zeros_added == expected


def test_norms_biases_and_head_stay_in_half_precision(model, tmp_path):
    manifest = prensa.compress(model, tmp_path / "out", preset="classic").manifest
    for report in manifest.tensors:
        if report.role in {"norm", "bias", "head"}:
            assert (report.codec, report.stored_dtype) == ("dense", "float16")
            assert [step.name for step in report.passes] == ["half"]


def test_the_head_is_quantized_when_asked(tmp_path):
    model = build_model("llama", tmp_path / "model")
    recipe = Recipe((Half(), Quantize(targets=("linear", "head", "*.norm.weight"))))
    manifest = prensa.compress(model, tmp_path / "out", recipe=recipe).manifest
    reports = {report.name: report for report in manifest.tensors}
    assert reports["lm_head.weight"].bits_per_weight < 10
    assert reports["model.norm.weight"].note == "quantize: not a matrix"


@pytest.mark.parametrize("preset", ["classic", "half", "int8"])
def test_the_same_input_and_the_stored_recipe_give_the_same_bytes(any_model, tmp_path, preset):
    prensa.compress(any_model, tmp_path / "one", preset=preset)
    prensa.compress(any_model, tmp_path / "two", recipe=load_recipe(tmp_path / "one" / "recipe.toml"))
    assert directory_bytes(tmp_path / "one") == directory_bytes(tmp_path / "two")


def test_shards_stay_shards_and_hold_the_same(tmp_path):
    whole = build_model("bert", tmp_path / "whole")
    shards = build_model("bert", tmp_path / "shards", max_shard_size="60KB")
    one = prensa.compress(whole, tmp_path / "one", preset="int8").manifest
    many = prensa.compress(shards, tmp_path / "many", preset="int8").manifest
    assert len(many.files) == len(list(shards.glob("*.safetensors")))
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    stored = {file.name: load_file(tmp_path / "many" / file.name) for file in many.files}
    assert index["weight_map"] == {name: file for file, tensors in stored.items() for name in tensors}
    assert index["metadata"]["total_size"] == sum(report.nbytes for report in many.tensors)
    merged = {name: tensor for tensors in stored.values() for name, tensor in tensors.items()}
    single = load_file(tmp_path / "one" / "model.safetensors")
    assert merged.keys() == single.keys()
    assert all(torch.equal(merged[name], single[name]) for name in single)
    assert {r.name: r.nbytes for r in one.tensors} == {r.name: r.nbytes for r in many.tensors}


def test_pickled_weights_give_the_same_tensors(model, tmp_path):
    prensa.compress(model, tmp_path / "one", preset="classic")
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    prensa.compress(model, tmp_path / "two", preset="classic")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_tied_weights_are_stored_once(tmp_path):
    model = build_model("bert", tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    embedding = "bert.embeddings.word_embeddings.weight"
    head = "cls.predictions.decoder.weight"
    assert head not in tensors
    save_file({**tensors, head: tensors[embedding].clone()}, model / "model.safetensors", {"format": "pt"})
    manifest = prensa.compress(model, tmp_path / "out", preset="int8").manifest
    report = next(report for report in manifest.tensors if report.name == head)
    assert (report.codec, report.nbytes, report.note) == ("tied", 0, f"tied to {embedding}")
    loaded = prensa.load(tmp_path / "out")
    assert loaded.cls.predictions.decoder.weight is loaded.bert.embeddings.word_embeddings.weight


def test_tied_by_config_but_different_weights_are_both_stored(tmp_path):
    model = build_model("bert", tmp_path / "model")
    head = "cls.predictions.decoder.weight"
    change_weights(model, lambda tensors: tensors.update({head: torch.randn(160, 48)}))
    prensa.compress(model, tmp_path / "out", preset="int8")
    loaded = prensa.load(tmp_path / "out", dtype=torch.float32)
    original = load_file(model / "model.safetensors")
    assert torch.allclose(loaded.cls.predictions.decoder.weight, original[head], atol=0.05)
    embedding = "bert.embeddings.word_embeddings.weight"
    assert torch.allclose(loaded.get_parameter(embedding), original[embedding], atol=0.05)


def test_buffers_and_integers_pass_through(model, tmp_path):
    change_weights(model, lambda tensors: tensors.update(steps=torch.arange(5000), flag=torch.tensor(True)))
    prensa.compress(model, tmp_path / "out", preset="classic")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(after["steps"], torch.arange(5000))
    assert bool(after["flag"])


def test_what_overflows_float16_is_named_and_survives_loading(model, tmp_path):
    change_weights(model, lambda tensors: tensors[WEIGHT].__setitem__((0, 0), 1e6))
    manifest = prensa.compress(model, tmp_path / "out", preset="half").manifest
    report = next(report for report in manifest.tensors if report.name == WEIGHT)
    assert report.stored_dtype == "float32"
    assert report.note == "half: overflows float16, kept in float32"
    loaded = prensa.load(tmp_path / "out")
    assert loaded.dtype == torch.float32
    assert loaded.get_parameter(WEIGHT)[0, 0] == 1e6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_input_is_measured_against_itself_and_float32(tmp_path, dtype):
    model = build_model("deberta", tmp_path / "model", dtype)
    recipe = Recipe((Half(dtype=str(dtype).removeprefix("torch.")),), format="plain")
    manifest = prensa.compress(model, tmp_path / "out", recipe=recipe).manifest
    assert manifest.nbytes == pytest.approx(manifest.nbytes_before, rel=0.1)
    assert manifest.nbytes == pytest.approx(manifest.nbytes_float32 / 2, rel=0.1)
    assert all(report.relative_squared_error == 0 for report in manifest.tensors)


def test_replacing_the_model_itself_keeps_everything_but_the_old_weights(model):
    (model / "notes.txt").write_text("mine")
    (model / "runs").mkdir()
    (model / "runs" / "log").write_text("mine too")
    torch.save({}, model / "pytorch_model.bin")
    prensa.compress(model, model, preset="int8", force=True)
    names = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    assert names == {
        *("README.md", "config.json", "manifest.json", "model.safetensors", "recipe.toml"),
        *("notes.txt", "runs/log"),
    }
    assert prensa.load(model)
    assert not leftovers(model.parent)


def test_a_linked_output_is_replaced_behind_its_link(model, tmp_path):
    shutil.copytree(model, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    prensa.compress(model, tmp_path / "link", preset="int8", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "manifest.json").is_file()


def test_nothing_is_read_or_written_by_a_plan(model, tmp_path):
    change_weights(model, lambda tensors: tensors[WEIGHT].fill_(float("nan")))
    plan = pipeline.plan(model, load_preset("classic"), tmp_path / "out")
    assert plan.nbytes > 0
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelError, match=f"tensor {WEIGHT} holds NaN"):
        pipeline.run(plan)
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("recipe", ["classic", "half", "int8"])
@pytest.mark.parametrize("form", ["packed", "bitsandbytes", "plain"])
def test_results_stay_below_the_planned_size(any_model, tmp_path, recipe, form):
    try:
        plan = pipeline.plan(any_model, adjusted(load_preset(recipe), Changes(format=form)), tmp_path / "out")
    except RecipeError:
        pytest.skip("recipe and format do not fit")
    manifest = pipeline.run(plan)
    assert sum(report.nbytes for report in manifest.tensors) <= plan.nbytes


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (adjusted(load_preset("int8"), Changes(format="plain")), "stores dense tensors"),
        (adjusted(load_preset("half"), Changes(format="bitsandbytes")), "quantizes no linear layer"),
        (Recipe((Half(),), state_dict=True), "cannot be copied to a state dict"),
        (Recipe((Prune(targets=("no.such.*",)),)), "'no.such.*' matches no tensor"),
        (Recipe((Prune(targets=("no.such.weight",)),)), "'no.such.weight' matches no tensor"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_the_plan(model, tmp_path, recipe, message):
    with pytest.raises(RecipeError) as caught:
        pipeline.plan(model, recipe, tmp_path / "out")
    assert message in str(caught.value)


def test_integer_weights_without_a_config_are_quantized_already(model, tmp_path):
    change_weights(model, lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].to(torch.int8)}))
    with pytest.raises(ModelError, match="is int8, expected a float dtype; the model is quantized"):
        pipeline.plan(model, load_preset("half"), tmp_path / "out")


@pytest.mark.parametrize("form", ["packed", "bitsandbytes"])
def test_a_result_is_not_pressed_again(model, tmp_path, form):
    prensa.compress(model, tmp_path / "out", recipe=adjusted(load_preset("int8"), Changes(format=form)))
    with pytest.raises(ModelError, match="quantized already"):
        prensa.compress(tmp_path / "out", tmp_path / "again")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    del config["quantization_config"]
    (tmp_path / "out" / "config.json").write_text(json.dumps(config))
    with pytest.raises((ModelError, RecipeError)):
        prensa.compress(tmp_path / "out", tmp_path / "again")


def test_a_full_disk_is_foreseen(model, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(OutputError, match="MB are needed"):
        prensa.compress(model, tmp_path / "out")


def test_a_name_that_the_format_needs_is_taken(model, tmp_path):
    change_weights(model, lambda tensors: tensors.update({f"{WEIGHT}_packed": torch.ones(3)}))
    with pytest.raises(RecipeError, match=f"tensor {WEIGHT}_packed: the format needs this name"):
        prensa.compress(model, tmp_path / "out")
    manifest = prensa.compress(
        model, tmp_path / "out", recipe=adjusted(load_preset("half"), Changes(format="plain"))
    ).manifest
    assert f"{WEIGHT}_packed" in load_file(tmp_path / "out" / "model.safetensors")
    assert "does not use 1 tensor of the checkpoint" in manifest.notes[0]


def test_threads_do_not_change_the_bytes(tmp_path, monkeypatch):
    # So that matrices of a tiny model have several blocks.
    monkeypatch.setattr(parallel.row_blocks, "__defaults__", (1, 1 << 8))
    model = build_model("llama", tmp_path / "model")
    recipe = Recipe((Half(), Prune(), Threshold(threshold=0.01), Quantize()))
    for count in (1, 2, 5):
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "_SHARE", parallel._Share(count))
            parallel._pool.cache_clear()
            prensa.compress(model, tmp_path / str(count), recipe=recipe)
    parallel._pool.cache_clear()
    assert directory_bytes(tmp_path / "1") == directory_bytes(tmp_path / "2")
    assert directory_bytes(tmp_path / "2") == directory_bytes(tmp_path / "5")


def test_progress_counts_every_byte(model, tmp_path):
    seen = []
    prensa.compress(model, tmp_path / "out", progress=lambda *step: seen.append(step))
    assert seen[-1][1] == seen[-1][2] > 0
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_a_config_of_another_model(model, tmp_path):
    change_config(model, vocab_size=100)
    with pytest.raises(PrensaError, match="do not belong together"):
        prensa.compress(model, tmp_path / "out")


def decided(plan):
    return plan.recipe, plan.output, plan.tensors, plan.files, plan.checkpoint.notes, plan.force


@pytest.mark.parametrize("form", ["packed", "bitsandbytes", "plain"])
def test_a_plan_with_another_recipe_is_the_plan_of_that_recipe(any_model, tmp_path, form):
    recipe = adjusted(load_preset("half" if form == "plain" else "int8"), Changes(format=form))
    first = pipeline.plan(any_model, load_preset("classic"), tmp_path / "first")
    other = first.with_recipe(recipe, tmp_path / "out")
    assert decided(other) == decided(pipeline.plan(any_model, recipe, tmp_path / "out"))


def test_a_plan_with_another_recipe_reads_nothing_again(model, tmp_path, monkeypatch):
    first = pipeline.plan(model, load_preset("small"), tmp_path / "first", force=True)
    opened = []
    monkeypatch.setattr(plan_module, "open_checkpoint", opened.append)
    monkeypatch.setattr(plan_module, "model_shape", opened.append)
    other = first.with_recipe(adjusted(first.recipe, Changes(noise=0.1)), tmp_path / "out")
    assert not opened
    assert (other.force, other.output) == (False, tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds files that are not a model"):
        first.with_recipe(first.recipe, tmp_path / "out")


def test_what_a_class_keeps_in_float32_is_known_to_every_plan_of_the_format(tmp_path):
    config = transformers.DebertaConfig(vocab_size=160, relative_attention=True, **SIZES)
    model = tmp_path / "model"
    transformers.DebertaForSequenceClassification(config).save_pretrained(model)
    packed = load_preset("int8")
    eight_bit = adjusted(packed, Changes(format="bitsandbytes"))
    first = pipeline.plan(model, eight_bit, tmp_path / "first")
    assert [step.name for step in first.recipe.passes] == ["quantize"]
    assert "in float32 always" in first.checkpoint.notes[-1]
    other = first.with_recipe(packed, tmp_path / "out")
    assert decided(other) == decided(pipeline.plan(model, packed, tmp_path / "out"))
    assert decided(other.with_recipe(eight_bit, tmp_path / "first")) == decided(first)


def test_a_plan_with_another_recipe_trims_as_before(model, tmp_path):
    plan = pipeline.plan(model, load_preset("int8"), tmp_path / "out")
    with pytest.raises(RecipeError, match="trim_vocabulary"):
        plan.with_recipe(adjusted(plan.recipe, Changes(trim_vocabulary=TrimVocabulary())), tmp_path / "other")


def test_what_is_published_is_what_would_have_been_written(tmp_path):
    model = build_model("bert", tmp_path / "model", max_shard_size="60KB")
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "short.jinja").write_text("{{ messages }}")
    (model / "README.md").write_text("---\nlicense: mit\n---\nA model.\n")
    places = [tmp_path / "run", tmp_path / "published"]
    for place in places:
        prensa.compress(model, place, preset="half")
        (place / "notes.txt").write_text("mine")
        (place / "model-00099-of-00099.safetensors").write_text("old weights")
        (place / "recipe.toml").chmod(0o600)
    plans = [pipeline.plan(model, load_preset("half"), place, force=True) for place in places]
    recipe = load_preset("int8")
    ran = pipeline.run(pipeline.plan(model, recipe, places[0], force=True))
    with hidden_beside(places[1]) as beside:
        pipeline.run(plans[1].with_recipe(recipe, beside / "trial"))
        published = pipeline.publish(beside / "trial", plans[1], {"search.json": "{}\n"})
    assert published == ran
    assert (places[1] / "search.json").read_text() == "{}\n"
    (places[1] / "search.json").unlink()
    assert directory_bytes(places[0]) == directory_bytes(places[1])
    modes = [{path.name: path.stat().st_mode for path in place.iterdir()} for place in places]
    assert modes[0] == modes[1]
    assert (places[1] / "notes.txt").read_text() == "mine"
    assert not leftovers(tmp_path)


def test_what_cannot_be_published_leaves_the_output_as_it_was(model, tmp_path):
    plan = pipeline.plan(model, load_preset("half"), tmp_path / "out")
    pipeline.run(plan.with_recipe(load_preset("int8"), tmp_path / "trial"))
    prensa.compress(model, tmp_path / "out", preset="half")
    before = directory_bytes(tmp_path / "out")
    with pytest.raises(OutputError, match="another run has written it meanwhile"):
        pipeline.publish(tmp_path / "trial", plan)
    assert directory_bytes(tmp_path / "out") == before
    assert not leftovers(tmp_path)
