import pytest
from hypothesis import given
from hypothesis import strategies as st

from prensa.errors import RecipeError
from prensa.passes import Gptq, Half, Prune, Quantize, Sparsegpt, Threshold
from prensa.passes.gptq import LEAST_NOISE, MOST_NOISE
from prensa.pressing.recipe import (
    Changes,
    Recipe,
    adjusted,
    chosen_recipe,
    load_preset,
    load_recipe,
    parse_recipe,
    preset_names,
)
from prensa.vocabulary.settings import TrimVocabulary


def test_presets():
    assert preset_names() == ["classic", "half", "int8", "small"]
    names = {name: [step.name for step in load_preset(name).passes] for name in preset_names()}
    assert names == {
        "classic": ["half", "prune", "threshold", "quantize"],
        "half": ["half"],
        "int8": ["half", "quantize"],
        "small": ["half", "gptq"],
    }
    assert load_preset("classic").passes[1:3] == (Prune(amount=0.3), Threshold(threshold=1e-3))


@given(
    st.floats(0, 0.9),
    st.floats(0, 1),
    st.sampled_from(["plain", "packed", "bitsandbytes"]),
    st.booleans(),
    st.lists(st.sampled_from(["linear", "head", "*.weight"]), min_size=1).map(tuple),
)
def test_toml_round_trip(amount, threshold, form, state_dict, targets):
    passes = (
        Half(dtype="bfloat16"),
        Prune(amount=amount, targets=targets),
        Threshold(threshold=threshold, ignore=("a.*",)),
        Quantize(),
    )
    recipe = Recipe(passes, format=form, codecs=("raw", "sparse"), state_dict=state_dict)
    assert parse_recipe(recipe.to_toml(), "test") == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = ", "not valid TOML"),
        ('format = "zip"', "unknown format 'zip'; there are plain, bitsandbytes, packed"),
        ('codecs = ["lzma"]', "unknown codec 'lzma'; there are raw, planes, sparse"),
        ('codecs = "raw"', "codecs must be a list"),
        ("colour = 1", "unknown key 'colour'; there are passes, format, codecs, state_dict"),
        ("passes = 3", "passes must be a list of tables"),
        ("passes = [3]", "passes must be a list of tables"),
        ("state_dict = 1", "state_dict must be true or false"),
        ('[[passes]]\nname = "prune"\namount = 1' + "0" * 400, "amount must be a number"),
        ('[[passes]]\nname = "half"\ndtype = [[1]]', "dtype must be one of"),
        ("a = " + "[" * 100_000, "not valid TOML"),
        ("[[passes]]", "unknown pass None; there are half, prune, sparsegpt, threshold"),
        ('[[passes]]\nname = "distil"', "unknown pass 'distil'"),
        ('[[passes]]\nname = "wanda"', "unknown pass 'wanda'; there are half, prune, sparsegpt"),
        ('[[passes]]\nname = "sparsegpt"\npattern = "2:4"', "unknown key of pass sparsegpt 'pattern'"),
        ('[[passes]]\nname = "prune"\namuont = 0.3', "unknown key of pass prune 'amuont'; there are amount"),
        ('[[passes]]\nname = "prune"\namount = 2', "amount must be a number from 0 to 0.9, found 2"),
        ('[[passes]]\nname = "prune"\ntargets = "linear"', "targets must be a list of words"),
        ('[[passes]]\nname = "quantize"\n[[passes]]\nname = "prune"', "quantize leaves only integers"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(RecipeError, match="^here: ") as caught:
        parse_recipe(text, "here")
    assert message in str(caught.value)


def test_files_and_presets_that_are_not_there(tmp_path):
    with pytest.raises(RecipeError, match="unknown preset 'tiny'; there are classic, half, int8"):
        load_preset("tiny")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "binary.toml")
    with pytest.raises(RecipeError, match="not both"):
        chosen_recipe("half", tmp_path / "none.toml", default="int8")


def names(recipe):
    return [step.name for step in recipe.passes]


def test_single_settings_are_changed_in_place():
    recipe = Recipe((Half(), Prune(amount=0.1, targets=("*.query.*",)), Quantize()))
    changed = adjusted(recipe, Changes(prune=0.5))
    assert changed.passes[1] == Prune(amount=0.5, targets=("*.query.*",))
    assert adjusted(recipe, Changes(format="plain")).format == "plain"


def test_of_several_alike_the_last_is_changed_and_the_others_go():
    recipe = Recipe((Half(), Prune(amount=0.3), Prune(amount=0.3), Quantize()))
    assert adjusted(recipe, Changes(prune=0.5)).passes == (Half(), Prune(amount=0.5), Quantize())


def test_a_missing_pass_is_put_in_its_usual_place():
    half = load_preset("half")
    assert names(adjusted(half, Changes(threshold=0.01, bits=8, prune=0.2))) == [
        "half",
        "prune",
        "threshold",
        "quantize",
    ]
    assert names(adjusted(Recipe((Quantize(),)), Changes(prune=0.2))) == ["prune", "quantize"]


def test_zero_and_sixteen_take_a_pass_out():
    assert names(adjusted(load_preset("classic"), Changes(prune=0, threshold=0, bits=16))) == ["half"]


@pytest.mark.parametrize("setting", [{"bits": 4}, {"prune": -1}, {"prune": float("nan")}, {"threshold": 2}])
def test_settings_out_of_range(setting):
    with pytest.raises(RecipeError):
        adjusted(load_preset("classic"), Changes(**setting))


def test_ways_of_pruning_take_each_others_place():
    small = load_preset("small")
    pruned = adjusted(small, Changes(prune=0.4, prune_by="sparsegpt"))
    assert [step.name for step in pruned.passes] == ["half", "sparsegpt", "gptq"]
    assert pruned.passes[1].amount == 0.4
    other = adjusted(pruned, Changes(prune_by="magnitude"))
    assert [step.name for step in other.passes] == ["half", "prune", "gptq"]
    assert other.passes[1].amount == 0.4
    assert [step.name for step in adjusted(other, Changes(prune=0)).passes] == ["half", "gptq"]
    assert adjusted(other, Changes(prune=0.2)).passes[1] == Prune(amount=0.2)
    assert adjusted(small, Changes(prune_by="magnitude")).passes[1] == Prune(amount=0.5)
    with pytest.raises(RecipeError, match="unknown way of pruning 'l1'; there are magnitude"):
        adjusted(small, Changes(prune_by="l1"))


def test_bits_and_noise():
    small = load_preset("small")
    assert [step.name for step in adjusted(small, Changes(bits=16)).passes] == ["half"]
    assert [step.name for step in adjusted(small, Changes(bits=8)).passes] == ["half", "quantize"]
    assert adjusted(small, Changes(noise=0.5)).passes[1].noise == 0.5
    assert [step.name for step in adjusted(load_preset("int8"), Changes(noise=0.5)).passes] == [
        "half",
        "gptq",
    ]


def test_bits_beside_a_noise_are_refused():
    with pytest.raises(RecipeError, match="`bits` and `noise`: expected one of them, found 8 and 0.5"):
        adjusted(load_preset("small"), Changes(bits=8, noise=0.5))


def test_single_settings_leave_the_others_as_they_are():
    recipe = Recipe(
        (Gptq(noise=0.1, dampening=0.05, targets=("linear",)), Gptq(noise=0.2, targets=("embedding",)))
    )
    changed = adjusted(recipe, Changes(noise=0.4)).passes
    assert [step.noise for step in changed] == [0.2, 0.4]  # all of them, in proportion
    assert changed[0].dampening == 0.05
    pruned = adjusted(Recipe((Sparsegpt(amount=0.2, dampening=0.05),)), Changes(prune=0.5)).passes
    assert pruned == (Sparsegpt(amount=0.5, dampening=0.05),)


def test_a_setting_is_changed_to_its_default_too():
    recipe = Recipe((Threshold(threshold=0.05, targets=("linear",)), Prune(amount=0.5)))
    assert adjusted(recipe, Changes(threshold=1e-3)).passes[0] == Threshold(
        threshold=1e-3, targets=("linear",)
    )
    assert adjusted(recipe, Changes(prune=0.3)).passes[1] == Prune(amount=0.3)


def test_noise_is_that_of_the_last_pass_that_has_one():
    assert load_preset("int8").noise is None
    assert load_preset("small").noise == 0.002
    recipe = Recipe((Gptq(noise=0.1, targets=("linear",)), Gptq(noise=0.3, targets=("embedding",))))
    assert recipe.noise == 0.3
    assert recipe.with_noise(0.7).noise == 0.7
    # What is in proportion stays within what a pass takes, and what was asked for is said to be beyond it.
    ends = recipe.with_noise(LEAST_NOISE), Recipe(recipe.passes[::-1]).with_noise(MOST_NOISE)
    assert [[step.noise for step in end.passes] for end in ends] == [[LEAST_NOISE] * 2, [MOST_NOISE] * 2]
    with pytest.raises(RecipeError, match="noise must be a number from 1e-07 to 10"):
        recipe.with_noise(LEAST_NOISE / 2)


def test_what_needs_texts():
    assert not load_preset("classic").needs_texts
    assert load_preset("small").needs_texts
    assert adjusted(load_preset("half"), Changes(trim_vocabulary=TrimVocabulary())).needs_texts
