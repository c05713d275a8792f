"""A model that is loaded once and shared: by threads, by processes, by code that expects a PyTorch model."""

import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tests.conftest import add_tokenizer, build_model

import prensa
from prensa.errors import DataError, OnlyAnswersError, PrensaError, SettingError
from prensa.serving.served import Served

RUNTIMES = ["torch", "int8", "openvino", "onnxruntime"]
TEXTS = [" ".join("abcdefghij"[(n * k) % 10] for k in range(1, 2 + n % 12)) for n in range(60)]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return add_tokenizer(build_model("deberta", tmp_path_factory.mktemp("served") / "model"))


@pytest.fixture(scope="module")
def opened(source):
    """Load the model for a runtime, once."""
    loaded = {}

    def load(runtime) -> Served:
        if runtime not in loaded:
            loaded[runtime] = _load(source, runtime)
        return loaded[runtime]

    return load


def _load(source, runtime):
    if runtime == "torch":
        return prensa.load(source, runtime="torch", dtype="float32")
    if runtime == "int8":
        try:
            return prensa.load(source, runtime="torch", dtype="int8")
        except SettingError as error:
            pytest.skip(str(error))
    pytest.importorskip(runtime)
    output = source.parent / runtime
    prensa.export(source, output, to=runtime, precision="fp32")
    return prensa.load(output)


def answers(served, texts=TEXTS):
    return np.stack([answer.output for answer in served.predict(texts, batch_size=4)])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_sixteen_threads_get_the_answers_to_their_own_texts(opened, runtime):
    served = opened(runtime)
    right = answers(served)
    for name in ("reader", "tokenizer"):  # the first callers come together
        vars(served).pop(name, None)
    batches = [served.tokenizer(text, return_tensors="pt") for text in TEXTS[:12]]
    logits = [served(**batch).logits.numpy() for batch in batches]

    def work(seed):
        chooser = random.Random(seed)
        for _ in range(6):
            chosen = [chooser.randrange(len(TEXTS)) for _ in range(5)]
            assert np.allclose(answers(served, [TEXTS[i] for i in chosen]), right[chosen], atol=1e-3)
            at = chooser.randrange(len(batches))
            assert np.allclose(served(**batches[at]).logits.numpy(), logits[at], atol=1e-3)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))


def test_threads_that_truncate_differently_share_a_tokenizer(opened):
    from prensa.texts.columns import Texts
    from prensa.texts.encoding import encode

    tokenizer = opened("torch").tokenizer
    texts = Texts("texts", tuple("a " * length for length in range(1, 41)))

    def lengths(limit):
        return [encode(tokenizer, texts, "classes", limit).lengths for _ in range(20)]

    limits = [None, 5, 9, 20] * 4
    with ThreadPoolExecutor(16) as pool:
        for limit, found in zip(limits, pool.map(lengths, limits), strict=True):
            expected = [min(length + 2, limit or 99) for length in range(1, 41)]
            assert all(each == expected for each in found)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_text_that_is_too_long_is_no_other_text(opened, runtime):
    served = opened(runtime)
    served(**served.tokenizer("a b", return_tensors="pt"))
    long = served.tokenizer("a " * 50, return_tensors="pt")
    with pytest.raises(DataError, match="52 tokens, the model reads 32; pass truncation=True"):
        served(**long)
    with pytest.raises(DataError, match="expected 0 to 199"):
        served(torch.tensor([[2, 200, 3]]))


def test_a_request_that_fails_is_never_read_again(opened):
    served = opened("openvino")
    requests = served.engine._requests.get()
    first = answers(served, ["a b"])
    while not requests._free.empty():
        requests._free.get()

    class Broken:
        def infer(self, *_, **__):
            raise RuntimeError("broken")

    requests._free.put(Broken())
    with pytest.raises(RuntimeError, match="broken"):
        answers(served, ["c d e"])
    assert requests._free.empty()
    assert np.allclose(answers(served, ["a b"]), first)


def test_answers_are_no_views_of_what_is_used_again(opened):
    served = opened("openvino")
    batch = served.tokenizer("a b", return_tensors="pt")
    first = served(**batch).logits
    before = first.clone()
    served(**served.tokenizer("c d", return_tensors="pt"))
    assert torch.equal(first, before)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_inputs_by_place(opened, runtime):
    served = opened(runtime)
    batch = served.tokenizer(["a b", "c"], padding=True, return_tensors="pt")
    right = served(**batch).logits
    assert torch.equal(served(batch["input_ids"], batch["attention_mask"]).logits, right)
    assert torch.equal(
        served(batch["input_ids"][:1]).logits, served(**{k: v[:1] for k, v in batch.items()}).logits
    )
    assert torch.equal(served(**batch, return_dict=False)[0], right)
    with pytest.raises(DataError, match="found BatchEncoding"):
        served(batch)


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda served: pickle.loads(pickle.dumps(served))]
)
def test_copies_answer_the_same(opened, runtime, copied):
    served = opened(runtime)
    twin = copied(served)
    assert type(twin).__name__ == "DebertaV2ForSequenceClassification"
    assert (twin.record, twin.path) == (served.record, served.path)
    assert np.array_equal(answers(twin), answers(served))


def test_a_copy_that_shares_its_engine(opened):
    served = opened("torch")
    assert copy.copy(served).engine is served.engine
    assert copy.deepcopy(served).engine is not served.engine


def test_workers_load_it_themselves(opened):
    served = opened("torch")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.map(answers, [served])
    assert np.allclose(found, answers(served), atol=1e-5)


def test_it_knows_where_it_is_when_the_working_directory_changes(source, monkeypatch):
    monkeypatch.chdir(source.parent)
    served = prensa.load(source.name, runtime="torch", dtype="float32")
    monkeypatch.chdir("/")
    assert len(answers(served, ["a"])) == 1
    assert pickle.loads(pickle.dumps(served)).path == source


NOT_HERE = [
    "save_pretrained",
    "num_parameters",
    "parameters",
    "train",
    "generate",
    "state_dict",
    "cuda",
    "half",
]


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_only_a_pytorch_model_does(opened, source, name):
    served = opened("torch")
    assert not hasattr(served, name)
    with pytest.raises(
        PrensaError, match=f"{name} is not available.*prensa.load\\('{source}'\\) without a runtime"
    ):
        getattr(served, name)
    with pytest.raises(AttributeError):
        getattr(served, name)


def test_an_export_names_the_model_it_was_made_from(opened):
    with pytest.raises(OnlyAnswersError, match="the model it was exported from, without a runtime"):
        opened("onnxruntime").save_pretrained("x")


def test_what_no_model_has(opened):
    served = opened("torch")
    with pytest.raises(AttributeError, match="no attribute 'predcit'") as caught:
        _ = served.predcit
    assert not isinstance(caught.value, PrensaError)
    assert not hasattr(object.__new__(Served), "config")


FORKED = """
import multiprocessing, os, signal, sys
from pathlib import Path
import numpy as np
import torch
import prensa

torch.set_num_threads(2)
work = torch.randn(700, 700)
(work @ work).relu().sum()  # starts OpenMP's threads
model, texts, output, *exports = map(Path, sys.argv[1:])
some = texts.read_text().split(",")[:80]


def press(name):
    prensa.compress(model, output / name, texts=texts)
    return (output / name / "model.safetensors").read_bytes()


def answers():
    return [np.stack([each.output for each in served.predict(some)]) for served in models]


def are_alike(name):
    signal.alarm(200)  # a child that hangs ends its parent's wait
    assert all(np.allclose(*pair, atol=1e-5) for pair in zip(answers(), right))
    assert press(name) == pressed
    assert torch.isfinite(work @ work).all()


pressed = press("parent")
models = [prensa.load(model, runtime="torch", dtype="float32"), *map(prensa.load, exports)]
right = answers()
children = []
for number in range(2):  # as a server does that loads first and then forks its workers
    child = os.fork()
    if not child:
        are_alike(f"child {number}")
        sys.exit(7)  # as usual, with all destructors
    children.append(child)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
child = multiprocessing.get_context("fork").Process(target=are_alike, args=("worker",))
child.start()
child.join()
assert child.exitcode == 0
assert all(np.array_equal(*pair) for pair in zip(answers(), right))
"""


def test_forked_children_press_and_answer_as_their_parent(opened, source, texts, tmp_path):
    exports = [opened(runtime).path for runtime in ("openvino", "onnxruntime")]
    command = [sys.executable, "-W", "ignore", "-c", FORKED, source, texts, tmp_path, *exports]
    subprocess.run(command, check=True, timeout=600, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"})


def test_a_pipeline_in_many_threads(opened):
    served = opened("onnxruntime")
    pipe = transformers.pipeline("text-classification", model=served, tokenizer=served.tokenizer)
    right = [pipe(text)[0]["score"] for text in TEXTS[:12]]

    def work(_):
        return [pipe(text)[0]["score"] for text in TEXTS[:12]]

    with ThreadPoolExecutor(16) as pool:
        assert all(np.allclose(found, right, atol=1e-4) for found in pool.map(work, range(16)))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_runtime_meets_few_lengths_and_answers_the_same(opened, runtime, monkeypatch):
    served = opened(runtime)
    assert served.record.is_paddable
    engine, lengths = served.engine, set()

    def spied(inputs):
        lengths.update(values.shape[1] for values in inputs.values())
        return engine(inputs)

    monkeypatch.setattr(served, "engine", spied)
    assert np.allclose(answers(served), answers(opened("torch")), atol=1e-4)
    longest = served.record.longest
    assert all(length % 16 == 0 or length == longest for length in lengths)
