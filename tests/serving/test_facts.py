"""What a record keeps of a model's config, and that it holds as long as the files do."""

import json
import shutil

import numpy as np
import pytest
import transformers
from tests.server.conftest import SETTINGS, build

import prensa
from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.task import task_of
from prensa.serving import served as serving
from prensa.serving.exported import FILE, read_record
from prensa.serving.facts import Facts, digest_of_settings, facts_of, learn
from prensa.texts.plain_tokenizer import PlainTokenizer

TEXTS = ["a b", "", ("c", "d e"), "z " * 60]


@pytest.mark.parametrize("task", sorted(SETTINGS))
def test_the_task_is_that_of_the_config(tmp_path, task):
    config = load_config(build(tmp_path, task))
    facts = facts_of(config)
    if task != "questions":
        assert facts.task == task_of(config)
    assert (facts.ids, facts.types) == (config.vocab_size, config.type_vocab_size)
    assert facts.class_name == config.architectures[0]


def test_labels_of_one_name():
    facts = Facts("Some", "classes", ("other", "other"), is_number=False, ids=3, types=None)
    assert facts.task.labels == ("other", "other_1")
    assert Facts("Some", None, (), is_number=False, ids=None, types=None).task is None


@pytest.fixture(scope="module")
def made(exports):
    pytest.importorskip("onnxruntime")
    return exports("onnxruntime", "fp32")


@pytest.fixture
def out(made, tmp_path):
    return shutil.copytree(made, tmp_path / "out")


def outputs(served):
    return np.stack([answer.output for answer in served.predict(TEXTS)])


def test_answers_are_the_same_with_and_without_what_is_known(out):
    known = prensa.load(out)
    assert isinstance(known.reader, PlainTokenizer)
    content = json.loads((out / FILE).read_text())
    assert content.pop("known")
    content["version"] = 2
    (out / FILE).write_text(json.dumps(content))
    unknown = prensa.load(out)
    assert unknown.reader is unknown.tokenizer
    assert np.array_equal(outputs(known), outputs(unknown))
    assert known.facts == unknown.facts
    assert type(known).__name__ == type(unknown).__name__ == "DebertaV2ForSequenceClassification"
    for one, other in zip(known.predict(TEXTS), unknown.predict(TEXTS), strict=True):
        assert one.scores == other.scores


def test_a_label_that_is_renamed_in_the_config_counts(out):
    config = json.loads((out / "config.json").read_text())
    config["id2label"] = {"0": "fine", "1": "rude"}
    (out / "config.json").write_text(json.dumps(config))
    served = prensa.load(out)
    assert set(next(served.predict(["a"])).scores) == {"fine", "rude"}
    assert served.reader is served.tokenizer


def test_what_no_answer_depends_on_changes_nothing(out):
    before = digest_of_settings(out)
    (out / "README.md").write_text("another card")
    (out / "results.json").write_text("{}")
    assert digest_of_settings(out) == before == read_record(out).known.files
    (out / "special_tokens_map.json").write_text("{}")
    assert digest_of_settings(out) != before


def test_where_own_code_may_count_nothing_is_kept(out):
    assert learn(out) is not None
    with allowing(remote_code=True):
        assert learn(out) is None


def test_a_tokenizer_that_needs_transformers_is_read_by_it(out, monkeypatch):
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    tokenizer.add_tokens(["new"])
    monkeypatch.setattr("prensa.texts.tokenizers.load_tokenizer", lambda path: tokenizer)
    known = learn(out)
    assert known.traits is None
    monkeypatch.setattr(serving, "still_known", lambda *_: known)
    assert prensa.load(out).reader is tokenizer
