"""SetFit models: the body is compressed, and the classifier, a pickle, is copied and never opened."""

import pickle
import shutil
from pathlib import Path

import pytest
from tests.bert import around, bert, pooling
from tests.conftest import leftovers

import prensa
from prensa.checkpoint.locate import locate
from prensa.errors import ModelError


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def setfit(tmp_path):
    model = around(bert(tmp_path / "model"), pooling("mean"), ("Normalize", None, {}))
    (model / "config_setfit.json").write_text('{"labels": ["no", "yes"], "normalize_embeddings": false}\n')
    (model / "model_head.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    return model


@pytest.mark.parametrize("preset", ["int8", "small"])
def test_the_body_is_compressed_and_the_head_is_kept(setfit, texts, tmp_path, preset):
    calibrated = texts if preset == "small" else None
    prensa.compress(setfit, tmp_path / "out", preset=preset, texts=calibrated)
    for name in ("model_head.pkl", "config_setfit.json", "modules.json"):
        assert (tmp_path / "out" / name).read_bytes() == (setfit / name).read_bytes()
    before, after = ((place / "model.safetensors").stat().st_size for place in (setfit, tmp_path / "out"))
    assert after < 0.5 * before
    assert prensa.inspect(tmp_path / "out").tensors
    assert not (tmp_path / "opened").exists()


def test_a_body_beside_its_modules_keeps_the_head_too(setfit, tmp_path):
    """As Sentence Transformers wrote models before: the Transformer in a separate folder."""
    inside = setfit / "0_Transformer"
    inside.mkdir()
    for path in list(setfit.iterdir()):
        if path.is_file() and path.name not in {"modules.json", "config_setfit.json", "model_head.pkl"}:
            shutil.move(path, inside / path.name)
    modules = (setfit / "modules.json").read_text()
    (setfit / "modules.json").write_text(modules.replace('"path": ""', '"path": "0_Transformer"'))
    assert locate(setfit) == inside
    prensa.compress(setfit, tmp_path / "out", preset="int8")
    assert (tmp_path / "out" / "model_head.pkl").read_bytes() == (setfit / "model_head.pkl").read_bytes()
    with pytest.raises(ModelError, match="SetFit's classifier, a pickle"):
        prensa.load(setfit)
    assert not (tmp_path / "opened").exists()


def test_a_budget_is_judged_by_the_vectors_of_the_body(setfit, texts, tmp_path, few_resamples):
    result = prensa.compress(setfit, tmp_path / "out", texts=texts, max_drop="20%")
    assert result.held
    assert (tmp_path / "out" / "model_head.pkl").is_file()


@pytest.mark.parametrize(
    "answer",
    [
        prensa.load,
        lambda model: prensa.load(model, runtime="torch"),
        lambda model: prensa.export(model, model.parent / "out", to="onnx"),
        lambda model: prensa.predict(model, model.parent / "out.csv", data=model.parent / "few.csv"),
    ],
)
def test_what_would_answer_without_the_head_is_refused(setfit, few_texts, tmp_path, answer):
    words = r"model_head\.pkl is SetFit's classifier, a pickle, which Prensa does not run"
    with pytest.raises(ModelError, match=words):
        answer(setfit)
    assert not (tmp_path / "opened").exists()
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


@pytest.mark.peers
def test_setfit_opens_the_result(setfit, tmp_path):
    """With a head of its own, and the answers of the original."""
    library = pytest.importorskip("setfit", reason="compares with SetFit")
    linear = pytest.importorskip("sklearn.linear_model")
    (setfit / "model_head.pkl").unlink()
    (setfit / "config_setfit.json").unlink()
    texts = ["a few letters", "Some CAPITAL ones", "x y z", "1 2 3", "hello there", "A B C"]
    body = library.SetFitModel.from_pretrained(str(setfit), device="cpu").model_body
    head = linear.LogisticRegression(C=100).fit(body.encode(texts), [0, 1, 0, 0, 0, 1])
    library.SetFitModel(model_body=body, model_head=head).save_pretrained(str(tmp_path / "trained"))
    prensa.compress(tmp_path / "trained", tmp_path / "out", preset="int8")
    original = library.SetFitModel.from_pretrained(str(tmp_path / "trained"), device="cpu")
    result = library.SetFitModel.from_pretrained(str(tmp_path / "out"), device="cpu")
    assert result.predict(texts).tolist() == original.predict(texts).tolist() == [0, 1, 0, 0, 0, 1]
