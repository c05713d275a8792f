"""Compressing models that do not fit in memory: the same bytes, and what is refused."""

from collections import namedtuple

import pytest
from tests.calibration.test_collect import ARCHITECTURES
from tests.conftest import add_tokenizer, build_model, directory_bytes, leftovers
from tests.vocabulary.families import build

import prensa
from prensa.checkpoint import destination
from prensa.errors import DeviceError, OutputError, SettingError
from prensa.jobs import larger
from prensa.pressing.recipe import Changes

# Less than the tiny models take as a whole, and more than one layer does.
FAMILIES = {"deberta": "380kB", "llama": "400kB", "bert": "480kB"}


@pytest.fixture(params=FAMILIES)
def bounded(request, tmp_path):
    model = add_tokenizer(build_model(request.param, tmp_path / "model"))
    return model, FAMILIES[request.param]


@pytest.fixture
def llama(tmp_path):
    return add_tokenizer(build_model("llama", tmp_path / "model"))


def test_the_result_is_the_same_bytes(bounded, texts, tmp_path):
    model, memory = bounded
    source = prensa.Source(texts, limit=20)
    job = prensa.Compression(model, tmp_path / "larger", texts=source, memory=memory)
    plan = job.plan()
    assert plan.calibration.streaming is not None
    assert plan.calibration.streaming.memory < plan.calibration.memory
    assert "calibrating layer by layer with 0." in plan.notes[-1]
    plan.run()
    prensa.compress(model, tmp_path / "whole", texts=source)
    assert directory_bytes(tmp_path / "larger") == directory_bytes(tmp_path / "whole")
    assert not leftovers(tmp_path)


def test_sparsegpt_and_a_trimmed_vocabulary_are_the_same_bytes(texts, tmp_path):
    model = build("llama, character bpe", tmp_path / "model")
    settings = {"texts": prensa.Source(texts, limit=12), "trim_vocabulary": prensa.TrimVocabulary()}
    settings |= {"preset": "small", "prune": 0.3, "prune_by": "sparsegpt"}
    changes = Changes(prune=0.3, prune_by="sparsegpt", trim_vocabulary=settings["trim_vocabulary"])
    job = prensa.Compression(model, tmp_path / "whole", "small", changes=changes, texts=settings["texts"])
    plan = job.plan()
    plan.run()
    # A byte less than the whole model takes.
    prensa.compress(model, tmp_path / "larger", memory=plan.calibration.memory - 1, **settings)
    assert directory_bytes(tmp_path / "larger") == directory_bytes(tmp_path / "whole")


def test_a_search_by_size_reads_statistics_many_times(llama, texts, tmp_path):
    results = []
    for name, memory in (("larger", "400kB"), ("whole", None)):
        result = prensa.compress(
            llama, tmp_path / name, texts=prensa.Source(texts, limit=12), max_size="30%", memory=memory
        )
        assert result.held
        results.append(directory_bytes(tmp_path / name))
    assert results[0] == results[1]
    assert not leftovers(tmp_path)


def test_too_little_even_for_a_layer(llama, texts, tmp_path):
    with pytest.raises(
        DeviceError,
        match=r"`memory` allows 0\.\d+ MB; layer by layer calibrating takes 0\.\d+ MB; use a larger",
    ):
        prensa.compress(llama, tmp_path / "out", texts=texts, memory=1000)


def test_a_model_without_one_list_of_layers_says_so(tmp_path, texts):
    for name, reason in (("t5", "has 2 lists of layers"), ("albert", "has 1 layers, and config.json says 2")):
        ARCHITECTURES[name]().eval().save_pretrained(tmp_path / name)
        add_tokenizer(tmp_path / name)
        with pytest.raises(DeviceError, match=f"layer by layer it cannot be calibrated: .*{reason}"):
            prensa.compress(tmp_path / name, tmp_path / "out", texts=texts, memory="50kB")


@pytest.mark.parametrize("value", ["8 gallons", "", 0, "-1GB", True, "1.2.3GB"])
def test_a_size_that_is_none(value, llama, texts, tmp_path):
    with pytest.raises(SettingError, match="`memory`: expected a size such as 8GiB, 8GB or bytes, found"):
        prensa.compress(llama, tmp_path / "out", texts=texts, memory=value)


def test_memory_bounds_calibration_alone(llama, tmp_path):
    with pytest.raises(SettingError, match="`memory` bounds calibration"):
        prensa.compress(llama, tmp_path / "out", preset="int8", memory="8GiB")


def test_what_needs_the_whole_model_is_refused(original, texts, tmp_path, monkeypatch):
    settings = {"texts": texts, "memory": "380kB"}
    with pytest.raises(SettingError, match="`heal` needs the whole model in memory"):
        prensa.compress(original, tmp_path / "out", heal="1s", **settings)
    monkeypatch.setattr(larger, "memory_limit", lambda: 1000)
    with pytest.raises(
        SettingError, match="`max_drop` runs the original and the result as a whole.*`max_size`"
    ):
        prensa.compress(
            original,
            tmp_path / "out",
            max_drop="1%",
            data=prensa.Source(texts, label_column="label"),
            **settings,
        )
    assert not (tmp_path / "out").exists()


def test_no_room_for_temporary_files(llama, texts, tmp_path, monkeypatch):
    job = prensa.Compression(llama, tmp_path / "out", texts=texts, memory="400kB")
    plan = job.plan()
    # Enough for the result, and not for what lies beside it until then.
    free = namedtuple("Usage", "free")(plan.pressing.nbytes + 100_000)
    monkeypatch.setattr(destination.shutil, "disk_usage", lambda _: free)
    with pytest.raises(OutputError, match="MB are needed"):
        job.plan()
