"""transformers.js answers in Node and in Chromium as PyTorch does.

The package is looked for in the folder that the environment variable PRENSA_NODE_MODULES names.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import transformers
from tests.serving.layouts import browser

from prensa.serving.exported import read_record
from prensa.serving.layouts import transformers_js

pytest.importorskip("onnxruntime")

HERE = Path(__file__).parent
TEXTS = ["a b c", "x", "some more letters than before 1 2 3"]
# Probabilities of a model with random weights in 8 bits.
APART = {"fp32": 1e-4, "fp16": 5e-3, "int8": 0.1, "int4": 0.3}


@pytest.fixture(scope="module")
def modules():
    named = os.environ.get("PRENSA_NODE_MODULES")
    if named is None or not (Path(named) / "@huggingface" / "transformers").is_dir():
        pytest.skip("PRENSA_NODE_MODULES names no folder with @huggingface/transformers (npm install)")
    return Path(named).absolute()


@pytest.fixture(params=sorted(APART))
def precision(request):
    return request.param


@pytest.fixture
def site(exports, modules, precision, tmp_path):
    """A folder that a browser could be given: the page, the model, the library."""
    model = shutil.copytree(exports("onnxruntime", precision), tmp_path / "site" / "model")
    transformers_js.arrange(model, read_record(model))
    shutil.copy(HERE / "page.html", tmp_path / "site")
    (tmp_path / "site" / "node_modules").symlink_to(modules)
    return tmp_path / "site"


def check(answers, original, precision):
    """Compare with PyTorch in float32."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(original).eval()
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.inference_mode():
            exact = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1)
        scores = {each["label"]: each["score"] for each in answer}
        assert set(scores) == set(model.config.id2label.values())
        for number, label in model.config.id2label.items():
            assert scores[label] == pytest.approx(float(exact[number]), abs=APART[precision])


def test_in_node(site, modules, original, precision):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    run = subprocess.run(
        [node, HERE / "classify.mjs", modules, site, "model"],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    check(json.loads(run.stdout.splitlines()[-1]), original, precision)


def test_in_chromium(site, original, precision):
    pytest.importorskip("playwright.sync_api")
    executable = browser.chromium()
    if executable is None:
        pytest.skip("no Chromium is installed, and PRENSA_CHROMIUM names none")
    check(browser.classify(site, "model", TEXTS, executable), original, precision)
