"""Any module in memory: compressed, stored, loaded into a fresh object; and what is refused."""

import copy
import json
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from tests.conftest import build_model, directory_bytes, leftovers
from torch import nn

import prensa
from prensa.errors import DataError, FormatError, ModelError, OutputError, RecipeError, SettingError

VOCABULARY, SIZE, PLACES = 90, 32, 12


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixing = nn.Linear(SIZE, SIZE, bias=False)
        self.up = nn.Linear(SIZE, 2 * SIZE)
        self.down = nn.Linear(2 * SIZE, SIZE)
        self.norm = nn.LayerNorm(SIZE)

    def forward(self, hidden, attention_mask):
        weights = attention_mask / attention_mask.sum(dim=1, keepdim=True)
        hidden = hidden + (weights[..., None] * self.mixing(hidden)).sum(dim=1, keepdim=True)
        return self.norm(hidden + self.down(torch.nn.functional.gelu(self.up(hidden))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, SIZE)
        self.places = nn.Embedding(PLACES, SIZE)
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, ids, attention_mask):
        hidden = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        for block in self.blocks:
            hidden = block(hidden, attention_mask)
        return hidden


class Tagger(nn.Module):
    """An encoder with a head for spans, a tied decoder, and tensors of many kinds."""

    def __init__(self, labels=5):
        super().__init__()
        self.encoder = Encoder()
        self.starts = nn.Linear(SIZE, labels)
        self.conv = nn.Conv1d(SIZE, SIZE, 3, padding=1)
        self.attention = nn.MultiheadAttention(SIZE, 2, batch_first=True)
        self.decoder = nn.Linear(SIZE, VOCABULARY)
        self.decoder.weight = self.encoder.words.weight
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1))

    def forward(self, ids, attention_mask):
        hidden = self.encoder(ids, attention_mask=attention_mask)
        mixed, _ = self.attention(hidden, hidden, hidden, need_weights=False)
        mixed = self.conv((hidden + mixed).transpose(1, 2)).transpose(1, 2)
        return SimpleNamespace(spans=self.starts(mixed), words=self.decoder(hidden))


def tagger(seed=0, **settings):
    torch.manual_seed(seed)
    module = Tagger(**settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    return module.eval()


def encoded(texts):
    ids = torch.zeros(len(texts), PLACES, dtype=torch.int64)
    for row, text in enumerate(texts):
        codes = [ord(letter) % VOCABULARY for letter in text][:PLACES]
        ids[row, : len(codes)] = torch.tensor(codes)
    return {"ids": ids, "attention_mask": (ids > 0).long()}


TEXTS = [f"{'abcdefghij'[n % 10] * (1 + n % 5)} {n}" for n in range(40)]


def run(module, batch):
    return module(**encoded(batch)).spans


@torch.no_grad()
def answers(module):
    answer = module(**encoded(TEXTS))
    return torch.cat([answer.spans.flatten(), answer.words.flatten()])


@torch.no_grad()
def error_of(module, original):
    right = run(original, TEXTS)
    return float(
        (run(module, TEXTS) - right).square().sum() / (right - right.mean(dim=(0, 1))).square().sum()
    )


@pytest.fixture(scope="module")
def original():
    return tagger()


@pytest.fixture(scope="module")
def small(original):
    return prensa.compress_module(original, texts=TEXTS, run=run)


@pytest.fixture
def stored(small, tmp_path):
    prensa.save(small, tmp_path / "stored")
    return tmp_path / "stored"


def test_compressed_stored_loaded_into_a_fresh_one(original, small, stored):
    assert type(small) is Tagger
    assert 0 < error_of(small, original) < 0.01
    fresh = tagger(seed=1)
    assert not answers(fresh).equal(answers(small))
    assert prensa.load_into(fresh, stored) is fresh
    assert answers(fresh).equal(answers(small))
    for name, value in small.state_dict().items():
        assert fresh.state_dict()[name].equal(value), name


def test_the_original_is_left_alone():
    module = tagger().train()
    module.conv.requires_grad_(requires_grad=False)
    before = copy.deepcopy(module.state_dict())
    pressed = prensa.compress_module(module, texts=TEXTS, run=run)
    assert all(module.state_dict()[name].equal(value) for name, value in before.items())
    for each in (module, pressed):
        assert each.training
        assert [name for name, part in each.named_parameters() if not part.requires_grad] == [
            "conv.weight",
            "conv.bias",
        ]
        assert all(parameter.grad is None for parameter in each.parameters())
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in each.modules())


def test_all_but_linear_layers_and_embeddings_is_kept(original, small):
    rounded = {
        name for name, value in small.state_dict().items() if not value.equal(original.state_dict()[name])
    }
    assert "encoder.words.weight" in rounded
    assert "attention.out_proj.weight" in rounded
    for name in rounded:
        owner = small.get_submodule(name.rpartition(".")[0])
        assert isinstance(owner, (nn.Linear, nn.Embedding)), name
        assert name.endswith(".weight")


def test_what_is_tied_stays_tied(small, stored):
    assert small.decoder.weight is small.encoder.words.weight
    fresh = prensa.load_into(tagger(seed=1), stored)
    assert fresh.decoder.weight is fresh.encoder.words.weight
    with safe_open(stored / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert "encoder.words.weight_packed" in names
    assert not any(name.startswith("decoder.weight") for name in names)


def test_values_of_ties_reach_modules_without_them_and_none_is_lost(small, stored, tmp_path):
    apart = tagger(seed=1)
    apart.decoder.weight = nn.Parameter(torch.zeros(VOCABULARY, SIZE))
    assert answers(prensa.load_into(apart, stored)).equal(answers(small))
    apart = copy.deepcopy(tagger())
    apart.decoder.weight = nn.Parameter(torch.randn(VOCABULARY, SIZE))
    prensa.save(prensa.compress_module(apart, prefix="encoder"), tmp_path / "apart")
    with pytest.raises(ModelError, match="decoder.weight and encoder.words.weight are tied in this Tagger"):
        prensa.load_into(tagger(), tmp_path / "apart")


def test_a_part_alone(original):
    small = prensa.compress_module(original, texts=TEXTS, run=run, prefix="encoder.blocks.")
    for name, value in small.state_dict().items():
        is_inside = name.startswith("encoder.blocks") and ("up" in name or "down" in name or "mixing" in name)
        assert value.equal(original.state_dict()[name]) == (not is_inside or name.endswith("bias")), name


def test_what_is_stored(small, stored):
    manifest = prensa.inspect(stored)
    assert manifest.nbytes < 0.6 * manifest.nbytes_before
    reports = {report.name: report for report in manifest.tensors}
    assert reports["encoder.blocks.0.up.weight"].passes[-1].name == "gptq"
    assert reports["encoder.blocks.0.up.weight"].note == ""
    assert reports["steps"].dtype == "int64"
    assert {"decoder.weight"} == set(small.state_dict()) - set(reports)
    assert json.loads((stored / "prensa_module.json").read_text())["tied"] == {
        "decoder.weight": "encoder.words.weight"
    }


def test_same_input_same_bytes(original, small, stored, tmp_path):
    torch.manual_seed(5)
    again = prensa.compress_module(original, texts=TEXTS, run=run)
    prensa.save(again, tmp_path / "again")
    assert directory_bytes(tmp_path / "again") == directory_bytes(stored)


def test_what_was_loaded_can_be_stored_again(stored, tmp_path):
    fresh = prensa.load_into(tagger(seed=1), stored)
    prensa.save(copy.deepcopy(fresh), tmp_path / "again")
    assert directory_bytes(tmp_path / "again") == directory_bytes(stored)


def test_one_part_after_the_other(original, tmp_path):
    first = prensa.compress_module(original, preset="int8", prefix="encoder")
    both = prensa.compress_module(first, texts=TEXTS, run=run, prefix="starts", noise=0.01)
    assert not both.starts.weight.equal(first.starts.weight)
    prensa.save(both, tmp_path / "out")
    passes = {report.name: report.passes for report in prensa.inspect(tmp_path / "out").tensors}
    assert [passes[f"{name}.weight"][-1].name for name in ("encoder.words", "starts")] == ["quantize", "gptq"]
    assert answers(prensa.load_into(tagger(seed=1), tmp_path / "out")).equal(answers(both))


def test_a_compressed_part_inside_of_another_module(small, tmp_path):
    around = nn.ModuleDict({"inner": small, "more": nn.Linear(3, 3)})
    prensa.save(around, tmp_path / "out")
    fresh = nn.ModuleDict({"inner": tagger(seed=1), "more": nn.Linear(3, 3)})
    prensa.load_into(fresh, tmp_path / "out")
    assert answers(fresh["inner"]).equal(answers(small))
    assert prensa.inspect(tmp_path / "out").nbytes < 0.6 * prensa.inspect(tmp_path / "out").nbytes_before


class Outer(nn.Module):
    """Has the embedding of a tagger under a name of its own, before the tagger's."""

    def __init__(self, inner):
        super().__init__()
        self.first = nn.Linear(SIZE, VOCABULARY, bias=False)
        self.first.weight = inner.encoder.words.weight
        self.inner = inner


def test_a_tied_weight_is_known_wherever_it_is(small, tmp_path):
    manifest = prensa.save(Outer(copy.deepcopy(small)), tmp_path / "outer")
    passes = {report.name: report.passes for report in manifest.tensors}
    assert passes["first.weight"]
    # One of the layers that were tied, without the others.
    manifest = prensa.save(nn.ModuleDict({"decoder": small.decoder}), tmp_path / "alone")
    assert manifest.tensors[0].passes


def test_loading_forgets_what_was_compressed_before(original, tmp_path):
    part = prensa.compress_module(original, preset="int8", prefix="encoder")
    prensa.save(part, tmp_path / "part")
    whole = prensa.compress_module(original, preset="int8")
    prensa.load_into(whole, tmp_path / "part")
    assert whole.starts.weight.equal(original.starts.weight)
    prensa.save(whole, tmp_path / "again")
    assert directory_bytes(tmp_path / "again") == directory_bytes(tmp_path / "part")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
def test_counts_that_a_dtype_does_not_have_are_refused(original, tmp_path, dtype):
    original = copy.deepcopy(original)
    original.steps.fill_(300)
    prensa.save(prensa.compress_module(original, preset="int8"), tmp_path / "out")
    fresh = tagger(seed=1)
    fresh.steps = torch.tensor(1, dtype=dtype)
    before = answers(fresh)
    with pytest.raises(ModelError, match=r"steps holds numbers of torch\.int64 that"):
        prensa.load_into(fresh, tmp_path / "out")
    assert answers(fresh).equal(before)
    fresh.steps = torch.tensor(1, dtype=torch.int16)
    assert prensa.load_into(fresh, tmp_path / "out").steps == 300


def test_what_runs_without_gradients_is_rounded_for_each_layer(original):
    quiet = torch.no_grad()(run)
    small = prensa.compress_module(original, texts=TEXTS, run=quiet, noise=0.002)
    nothing = prensa.compress_module(
        original, texts=TEXTS, run=lambda *each: [run(*each), None][1], noise=0.002
    )
    assert answers(small).equal(answers(nothing))
    assert 0 < error_of(small, original) < 0.05
    coarse = prensa.compress_module(original, texts=TEXTS, run=quiet, noise=0.2)
    assert error_of(coarse, original) > 3 * error_of(small, original)


def test_the_objective_is_what_run_returns(original):
    """What the returned scores do not depend on may become anything."""
    small = prensa.compress_module(original, texts=TEXTS, run=lambda *each: run(*each)[..., 0], noise=0.01)
    change = (small.starts.weight - original.starts.weight).detach().norm(dim=1)
    assert change[0] < change[1:].min()


def test_padding_does_not_count(original):
    """The mask is found where the encoder takes it, whatever a batch is."""

    def padded(module, batch):
        given = encoded(batch)
        noise = torch.randint(1, VOCABULARY, given["ids"].shape, generator=torch.Generator().manual_seed(1))
        ids = torch.where(given["attention_mask"].bool(), given["ids"], noise)
        hidden = module.encoder(ids, attention_mask=given["attention_mask"])
        return module.starts(hidden)

    def plain(module, batch):
        given = encoded(batch)
        return module.starts(module.encoder(given["ids"], attention_mask=given["attention_mask"]))

    settings = {"texts": TEXTS, "prefix": "encoder.blocks"}
    one = prensa.compress_module(original, run=padded, **settings).state_dict()
    two = prensa.compress_module(original, run=plain, **settings).state_dict()
    assert all(value.equal(two[name]) for name, value in one.items())


def test_a_part_whose_weights_no_layer_multiplies(original):
    """What is used in another way is known by its own gradient."""
    small = prensa.compress_module(original, texts=TEXTS, run=run, prefix="attention", noise=1e-3)
    assert not small.attention.out_proj.weight.equal(original.attention.out_proj.weight)
    assert 0 < error_of(small, original) < 0.01


def test_batches_of_the_callers_own(original):
    batches = [encoded(TEXTS[start : start + 8]) for start in range(0, 40, 8)]
    own = prensa.compress_module(original, texts=batches, run=lambda module, batch: module(**batch).spans)
    same = prensa.compress_module(original, texts=TEXTS, run=run, batch_size=8)
    assert answers(own).equal(answers(same))


def test_texts_from_a_file_and_pairs(original, tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(["text,other", *(f"{text},b" for text in TEXTS)]))
    met = []

    def note(module, batch):
        met.extend(batch)
        return run(module, [text if isinstance(text, str) else text[0] for text in batch])

    source = prensa.Source(path, limit=10, text_column="text")
    prensa.compress_module(original, texts=source, run=note)
    assert len(set(met)) == 10
    met.clear()
    prensa.compress_module(original, texts=[(text, "b") for text in TEXTS], run=note)
    assert set(met) == {(text, "b") for text in TEXTS}


def test_without_embeddings_gradients_begin_at_the_first_layer(tmp_path):
    module = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)).half().float()
    batches = [torch.randn(32, 16) for _ in range(4)]
    small = prensa.compress_module(module, texts=batches, run=lambda each, batch: each(batch), noise=0.001)
    off = (small(batches[0]) - module(batches[0])).square().mean() / module(batches[0]).var()
    assert 0 < off < 0.01
    prensa.save(small, tmp_path / "out")
    assert prensa.inspect(tmp_path / "out").tensors[0].note == ""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype, tmp_path):
    module = nn.Sequential(nn.Embedding(50, 32), nn.Linear(32, 8)).to(dtype)
    small = prensa.compress_module(module, preset="int8")
    prensa.save(small, tmp_path / "out")
    fresh = prensa.load_into(
        nn.Sequential(nn.Embedding(50, 32), nn.Linear(32, 8)).to(dtype), tmp_path / "out"
    )
    for name, value in small.state_dict().items():
        assert value.dtype == dtype
        assert fresh.state_dict()[name].equal(value), name
    # Rounded once on the way to another dtype, as PyTorch would do it.
    prensa.save(copy.deepcopy(small).float().to(dtype), tmp_path / "again")


def test_classic_passes(tmp_path):
    module = nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32))
    small = prensa.compress_module(module, preset="classic")
    assert (small[0].weight == 0).float().mean() > 0.29
    assert small[1].weight.equal(module[1].weight)
    prensa.save(small, tmp_path / "out")


# What is refused.


def test_a_batch_that_does_not_run_is_named(original):
    def fail_on_one(module, batch):
        return run(module, batch if len(batch) > 1 else ["y" * 3, None])

    with pytest.raises(DataError) as caught:
        prensa.compress_module(original, texts=[*TEXTS[:32], "x" * 3], run=fail_on_one)
    message = str(caught.value)
    assert message.startswith(
        "batch 3 of 3 (1 texts, the first 'xxx'): Tagger does not run on it (TypeError: "
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (
            {"ids": torch.full((1, 2), 999), "attention_mask": torch.ones(1, 2)},
            r"ids \[1, 2\], attention_mask",
        ),
        ({"ids": None}, "a dict"),
        (torch.ones(2, 3), r"a tensor \[2, 3\]"),
        ([1, 2], "a list of 2"),
        (3, "a int"),
    ],
)
def test_batches_of_all_kinds_are_named(original, batch, words):
    with pytest.raises(DataError, match=rf"batch 1 of 1 \({words}.*\): Tagger does not run on it"):
        prensa.compress_module(original, texts=[batch], run=lambda module, each: module(**each).spans)


def test_answers_that_are_no_numbers(original):
    with pytest.raises(ModelError, match="batch 1 of 3 .*the answer holds NaN"):
        prensa.compress_module(original, texts=TEXTS, run=lambda *each: run(*each) * float("nan"))
    with pytest.raises(ModelError, match="nothing but zeros"):
        prensa.compress_module(original, texts=TEXTS, run=lambda *each: run(*each) * 0)
    masked = prensa.compress_module(
        original,
        texts=TEXTS,
        run=lambda *each: torch.cat([run(*each), torch.full((len(each[1]), PLACES, 1), -1e9)], dim=-1),
    )
    assert error_of(masked, original) < 0.01


def test_a_run_that_takes_another_module(original):
    with pytest.raises(SettingError, match="sent nothing through the Tagger"):
        prensa.compress_module(original, texts=TEXTS, run=lambda _, batch: run(tagger(), batch))


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (
            {"prefix": "decode."},
            SettingError,
            "prefix 'decode.': Tagger has no such part; its parts are encoder, starts",
        ),
        ({"prefix": "conv"}, RecipeError, "the recipe changes nothing in conv"),
        ({"preset": "small"}, SettingError, "give run, a function"),
        ({"texts": TEXTS}, SettingError, "give run, a function"),
        ({"preset": "int8", "run": run}, SettingError, "no pass of the recipe needs them"),
        ({"run": run, "texts": []}, DataError, "found none"),
        ({"run": run, "texts": TEXTS, "batch_size": 0}, SettingError, "at least 1"),
        ({"preset": "gone"}, RecipeError, "unknown preset"),
        ({"recipe": prensa.Recipe((), format="plain")}, RecipeError, "stored packed alone"),
        ({"recipe": prensa.Recipe((), heal=prensa.Heal(60))}, RecipeError, "heal: needs a model directory"),
        ({"noise": 99.0, "run": run}, RecipeError, "noise must be a number"),
    ],
)
def test_settings_that_do_not_fit(original, settings, error, words):
    with pytest.raises(error, match=words):
        prensa.compress_module(original, **settings)


def test_weights_that_cannot_be_used():
    broken = nn.Sequential(nn.Linear(8, 8))
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="tensor 0.weight holds NaN"):
        prensa.compress_module(broken)
    with pytest.raises(ModelError, match="on the meta device"):
        prensa.compress_module(nn.Linear(8, 8, device="meta"))
    computed = nn.Linear(8, 8)
    computed.extra = computed.weight * 2
    with pytest.raises(ModelError, match="Linear cannot be copied"):
        prensa.compress_module(computed)


def test_tensors_that_are_not_the_modules_own():
    with pytest.raises(ModelError, match="weight has no shape yet; run the module once"):
        prensa.compress_module(nn.Sequential(nn.LazyLinear(8)))

    class Sharded(nn.Linear):
        def state_dict(self, *_, **__):
            return {"weight": self.weight * 1}

    with pytest.raises(ModelError, match="Sharded: the state dict makes weight anew"):
        prensa.compress_module(Sharded(8, 8))

    class Counting(nn.Linear):
        def get_extra_state(self):
            return {"count": 3}

    with pytest.raises(ModelError, match="the state dict holds a dict as _extra_state"):
        prensa.compress_module(Counting(8, 8))


def test_only_what_was_compressed_is_stored(small, tmp_path):
    with pytest.raises(ModelError, match="nothing of it was compressed"):
        prensa.save(tagger(), tmp_path / "out")
    changed = copy.deepcopy(small)
    with torch.no_grad():
        changed.starts.weight += 0.01
    with pytest.raises(ModelError, match=r"starts.weight has changed since it was compressed"):
        prensa.save(changed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)
    with torch.no_grad():
        changed.starts.weight.copy_(small.starts.weight)
        changed.starts.bias += 1
    prensa.save(changed, tmp_path / "out")
    assert answers(prensa.load_into(tagger(), tmp_path / "out")).equal(answers(changed))


def test_a_directory_that_is_in_use(small, stored, tmp_path):
    with pytest.raises(OutputError, match="give `force`"):
        prensa.save(small, stored)
    (stored / "own.json").write_text("{}")
    prensa.save(small, stored, force=True)
    assert (stored / "own.json").is_file()
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "one.jpg").write_text("")
    with pytest.raises(OutputError, match="files that are not a model"):
        prensa.save(small, tmp_path / "photographs", force=True)


def test_a_model_and_a_module_replace_each_other_whole(small, stored, tmp_path):
    model = build_model("llama", tmp_path / "model")
    prensa.compress(model, stored, preset="half", force=True)
    assert prensa.load(stored) is not None
    # And back: nothing is left that a model directory would be known by.
    prensa.save(small, stored, force=True)
    names = {path.name for path in stored.iterdir()}
    assert "prensa_module.json" in names
    assert not names & {"config.json", "recipe.toml", "README.md"}
    assert answers(prensa.load_into(tagger(), stored)).equal(answers(small))


def test_a_float_of_8_bits_comes_back(tmp_path):
    def made():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(64, 64))
        module.register_buffer("table", torch.arange(8.0).to(torch.float8_e4m3fn))
        return module

    prensa.save(prensa.compress_module(made(), preset="int8"), tmp_path / "out")
    fresh = made()
    fresh.table = torch.zeros(8).to(torch.float8_e4m3fn)
    loaded = prensa.load_into(fresh, tmp_path / "out")
    assert loaded.table.float().tolist() == list(range(8))


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.ends = nn.Linear(SIZE, 5)


def test_another_module_is_refused_by_name_and_shape(stored):
    other = Other()
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(ModelError) as caught:
        prensa.load_into(other, stored)
    message = str(caught.value)
    assert "holds a Tagger, which lacks 2 tensors of this Other (ends.bias, ends.weight) and has" in message
    assert "\n" not in message
    with pytest.raises(
        ModelError, match=r"starts.weight has the shape \[5, 32\], and that of this Tagger \[4, 32\]"
    ):
        prensa.load_into(tagger(labels=4), stored)
    assert all(other.state_dict()[name].equal(value) for name, value in before.items())
    wrong = tagger()
    wrong.steps = torch.tensor(7.0)
    with pytest.raises(ModelError, match="steps holds int64, and that of this Tagger"):
        prensa.load_into(wrong, stored)


@pytest.mark.parametrize("call", [prensa.load, lambda path: prensa.compress(path, path.parent / "more")])
def test_it_is_no_model_directory(stored, call):
    with pytest.raises(ModelError, match=r"load it with prensa.load_into"):
        call(stored)


def test_damaged_directories(stored, tmp_path):
    with pytest.raises(ModelError, match="no module that prensa.save has written"):
        prensa.load_into(tagger(), tmp_path)
    weights = stored / "model.safetensors"
    whole = weights.read_bytes()
    content = bytearray(whole)
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(FormatError, match="damaged, expected SHA-256"):
        prensa.load_into(tagger(), stored)
    weights.unlink()
    with pytest.raises(ModelError, match="model.safetensors is missing"):
        prensa.load_into(tagger(), stored)
    record = json.loads((stored / "prensa_module.json").read_text())
    (stored / "prensa_module.json").write_text(json.dumps({**record, "format_version": 2}))
    with pytest.raises(FormatError, match="install a newer prensa"):
        prensa.load_into(tagger(), stored)
    # Weights are there, and whole.
    weights.write_bytes(whole)
    tied = dict.fromkeys(record["tied"], "nowhere")
    assert tied
    (stored / "prensa_module.json").write_text(json.dumps({**record, "tied": tied}))
    with pytest.raises(FormatError, match="ties to nowhere, which is not stored"):
        prensa.load_into(tagger(), stored)
    (stored / "prensa_module.json").write_text(json.dumps(record))
    manifest = (stored / "manifest.json").read_text()
    (stored / "manifest.json").write_text(manifest.replace('"float32"', '"float17"'))
    with pytest.raises(FormatError, match="has the dtype 'float17', which does not exist"):
        prensa.load_into(tagger(), stored)
    (stored / "manifest.json").write_text(manifest)
    (stored / "prensa_module.json").write_text("{")
    with pytest.raises(FormatError, match="damaged"):
        prensa.load_into(tagger(), stored)


def test_transformers_layers_that_are_stored_the_other_way_round(tmp_path):
    import transformers

    config = transformers.GPT2Config(vocab_size=160, n_embd=48, n_layer=2, n_head=4, n_positions=32)
    module = transformers.GPT2LMHeadModel(config).eval()
    batches = [torch.randint(0, 160, (4, 12)) for _ in range(4)]
    for returns in (
        lambda each, batch: each(input_ids=batch),
        lambda each, batch: each(input_ids=batch) and None,
    ):
        small = prensa.compress_module(module, texts=batches, run=returns)
        assert small.lm_head.weight is small.transformer.wte.weight
        with torch.no_grad():
            off = small(batches[0]).logits - module(batches[0]).logits
            assert 0 < off.square().mean() / module(batches[0]).logits.var() < 0.02
    prensa.save(small, tmp_path / "out")
    fresh = prensa.load_into(transformers.GPT2LMHeadModel(config).eval(), tmp_path / "out")
    assert fresh(batches[0]).logits.equal(small(batches[0]).logits)
