"""Two models that answer as one: each text by the small one where it is sure, else by the original."""

import asyncio
import copy
import pickle
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from tests.bert import bert, tokenizer

import prensa
from prensa.errors import DataError, ModelError, SettingError
from prensa.serving.cascade import Cascade
from prensa.serving.margins import margins

NAMES = ("a", "b", "c")
TEXTS = ["".join(random.Random(n).choices("abcdefghij ", k=1 + n % 20)) for n in range(120)]


def classifier(path, names=NAMES, **settings):
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    return bert(path, head="BertForSequenceClassification", **labels, **settings)


def shaken(original, path, by=0.08):
    """Copy a model and change its weights a little, so that some of its answers change."""
    shutil.copytree(original, path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(original)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=by)
    model.save_pretrained(path)
    return path


def load(path):
    return prensa.load(path, runtime="torch", dtype="float32")


@pytest.fixture(scope="module", params=["classes", "multi-label"])
def pair(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("cascade")
    settings = {}
    if request.param == "multi-label":
        settings["problem_type"] = "multi_label_classification"
    original = classifier(place / "original", **settings)
    return load(shaken(original, place / "small")), load(original), request.param


def outputs(served, texts=TEXTS, **settings):
    return np.stack([answer.output for answer in served.predict(texts, **settings)])


def expected(small, original, kind, threshold):
    own, theirs = outputs(small), outputs(original)
    stays = margins(kind, own) >= threshold
    assert 0 < stays.sum() < len(stays)
    return np.where(stays[:, None], own, theirs), int((~stays).sum())


def middle(small, kind):
    return float(np.median(margins(kind, outputs(small))))


def test_each_text_is_answered_by_whom_the_threshold_says(pair):
    small, original, kind = pair
    cascade = Cascade(small, original, middle(small, kind))
    right, passed_on = expected(small, original, kind, cascade.threshold)
    assert np.allclose(outputs(cascade, batch_size=7), right, atol=1e-5)
    assert (cascade.answered, cascade.passed_on) == (len(TEXTS), passed_on)
    assert not np.allclose(outputs(small), right, atol=1e-3)


def test_all_ways_to_ask_give_the_same(pair):
    small, original, kind = pair
    cascade = Cascade(small, original, middle(small, kind))
    right, _ = expected(small, original, kind, cascade.threshold)
    batch = cascade.tokenizer(TEXTS[:30], padding=True, return_tensors="pt")
    assert np.allclose(cascade(**batch).logits.numpy(), right[:30], atol=1e-5)
    answers = asyncio.run(cascade.apredict(TEXTS[:30]))
    assert np.allclose(np.stack([answer.output for answer in answers]), right[:30], atol=1e-5)
    for twin in (pickle.loads(pickle.dumps(cascade)), copy.copy(cascade)):
        assert np.allclose(outputs(twin), right, atol=1e-5)
    with ThreadPoolExecutor(4) as pool:
        for own in pool.map(lambda _: outputs(cascade, batch_size=5), range(4)):
            assert np.allclose(own, right, atol=1e-5)


def test_a_pipeline_takes_it(pair):
    small, original, kind = pair
    cascade = Cascade(small, original, middle(small, kind))
    classify = transformers.pipeline("text-classification", model=cascade, tokenizer=cascade.tokenizer)
    labels = [found["label"] for found in classify(TEXTS[:20], batch_size=4)]
    assert labels == [answer.label for answer in cascade.predict(TEXTS[:20])]


def test_texts_are_read_once_if_both_read_alike(pair, monkeypatch):
    small, original, kind = pair
    cascade = Cascade(small, original, middle(small, kind))
    assert cascade.reads_once
    right, _ = expected(small, original, kind, cascade.threshold)
    # Nothing that tokenizes for the original is asked.
    monkeypatch.setattr(original, "answering", None)
    assert np.allclose(outputs(cascade), right, atol=1e-5)


def test_two_tokenizers_read_each_for_its_own_model(pair, tmp_path):
    small, original, kind = pair
    path = shutil.copytree(small.path, tmp_path / "other")
    # The same tokens by other ids, and a model whose table has them there.
    other = tokenizer(32)
    renumbered = other.backend_tokenizer.to_str().replace('"a":', '"swapped":')
    renumbered = renumbered.replace('"b":', '"a":').replace('"swapped":', '"b":')
    other._tokenizer = type(other.backend_tokenizer).from_str(renumbered)
    other.save_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    ids = other.convert_tokens_to_ids(["a", "b"])
    table = model.bert.embeddings.word_embeddings.weight
    with torch.no_grad():
        table[ids] = table[ids[::-1]].clone()
    model.save_pretrained(path)

    cascade = Cascade(load(path), original, middle(small, kind))
    assert not cascade.reads_once
    right, _ = expected(small, original, kind, cascade.threshold)
    assert np.allclose(outputs(cascade), right, atol=1e-5)
    batch = cascade.tokenizer(TEXTS[:3], padding=True, return_tensors="pt")
    with pytest.raises(DataError, match=r"call predict\(\) with texts"):
        cascade(**batch)


def test_what_gives_no_number_goes_on(pair):
    small, original, _ = pair
    broken = copy.copy(small)
    broken.engine = lambda inputs: [array * np.nan for array in small.engine(inputs)]
    assert np.allclose(outputs(Cascade(broken, original, 0.0)), outputs(original), atol=1e-5)


def test_what_does_not_fit_is_refused(pair, tmp_path):
    small, original, _ = pair
    with pytest.raises(SettingError, match="other labels"):
        Cascade(small, load(classifier(tmp_path / "labels", names=("a", "b", "d"))), 0.5)
    with pytest.raises(SettingError, match="`threshold` must be"):
        Cascade(small, original, float("nan"))
    number = load(classifier(tmp_path / "number", names=("grade",)))
    vector = load(bert(tmp_path / "vector"))
    for model, found in ((number, "regression"), (vector, "embedding")):
        with pytest.raises(ModelError, match=f"needs a classifier of texts, found {found}"):
            Cascade(model, model, 0.5)
