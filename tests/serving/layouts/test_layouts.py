"""Exports are laid out as other programs look for them, or refused before one is surprised."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import prensa
from prensa.errors import MissingPackageError, ModelError, SettingError, TokenizerError
from prensa.serving.exported import read_record
from prensa.serving.layouts import model_server, sentence_transformers, tei, transformers_js
from prensa.serving.layouts.table import LAYOUTS, layout_named
from prensa.serving.onnxruntime import FILE, FILES

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def export(exports, tmp_path):
    """A copy of an export for ONNX Runtime, which may be changed."""
    return shutil.copytree(exports("onnxruntime", "fp32"), tmp_path / "export")


def config_of(directory):
    return json.loads((directory / "config.json").read_text())


def change_config(directory, **entries):
    (directory / "config.json").write_text(json.dumps(config_of(directory) | entries))


def test_layouts_have_the_names_of_programs():
    assert list(LAYOUTS) == ["transformers.js", "sentence-transformers", "tei", "openvino"]
    with pytest.raises(SettingError, match=r"`layout=triton`: expected one of transformers\.js, sentence"):
        layout_named("triton", "onnxruntime")


def test_a_layout_of_another_runtime_is_refused_before_anything_is_read(tmp_path):
    words = r"`layout=tei` is for onnxruntime, and the export is to openvino; change `to`"
    with pytest.raises(SettingError, match=words):
        prensa.export(tmp_path / "none", tmp_path / "out", to="openvino", layout="tei")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    with pytest.raises(MissingPackageError, match=r"`layout=openvino` needs openvino-tokenizers"):
        layout_named("openvino", "openvino")


def test_what_is_exported_is_laid_out(original, few_texts, tmp_path, converted):
    converted("onnxruntime", "fp32")
    out = tmp_path / "out"
    prensa.export(original, out, to="onnx", precision="fp32", texts=few_texts, layout="transformers.js")
    assert config_of(out)["transformers.js_config"] == {"dtype": "fp32"}
    assert list(prensa.load(out).predict(["a b"]))


class TestTransformersJs:
    @pytest.mark.parametrize(
        ("precision", "dtype", "name"),
        [
            ("fp16", "fp16", "onnx/model_fp16.onnx"),
            ("int8", "q8", "onnx/model_quantized.onnx"),
            ("int4", "q4", "onnx/model_q4.onnx"),
        ],
    )
    def test_each_dtype_is_where_it_is_looked_for(
        self, exports, tmp_path, monkeypatch, precision, dtype, name
    ):
        export = shutil.copytree(exports("onnxruntime", precision), tmp_path / "export")
        record = read_record(export)
        monkeypatch.setitem(prensa.serving.exported.TOLERANCES, precision, 10)
        before = [answer.output for answer in prensa.load(export).predict(["a b", "c"])]
        change_config(export, **{"transformers.js_config": {"device_config": {}}})
        transformers_js.arrange(export, record)
        assert not (export / FILE).exists()
        assert FILES[precision] == name
        assert (export / name).is_file()
        # What was there stays.
        assert config_of(export)["transformers.js_config"] == {"device_config": {}, "dtype": dtype}
        after = [answer.output for answer in prensa.load(export).predict(["a b", "c"])]
        assert np.array_equal(np.array(before), np.array(after))

    def test_without_a_fast_tokenizer(self, export):
        (export / "tokenizer.json").unlink()
        with pytest.raises(TokenizerError, match=r"reads tokenizer\.json, which the model does not have"):
            transformers_js.arrange(export, read_record(export))

    def test_weights_beside_the_model(self, export):
        (export / f"{FILE}.data").write_bytes(b"weights")
        with pytest.raises(ModelError, match=r"takes a model in one file.*model\.onnx\.data"):
            transformers_js.arrange(export, read_record(export))

    def test_operators_of_others(self, export):
        model = onnx.load(export / FILE)
        model.graph.node.add(op_type="Fast", domain="com.example", output=["fast"])
        onnx.save(model, export / FILE)
        with pytest.raises(ModelError, match=r"has no operators of com\.example"):
            transformers_js.arrange(export, read_record(export))


class TestTei:
    def test_a_classifier_is_accepted_as_it_is(self, export):
        before = (export / FILE).read_bytes()
        tei.arrange(export, read_record(export))
        assert (export / FILE).read_bytes() == before

    def test_a_config_without_what_it_reads(self, export):
        config = config_of(export)
        del config["hidden_size"]
        (export / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=r"reads hidden_size in config\.json"):
            tei.arrange(export, read_record(export))
        change_config(export, n_embd=48)
        tei.arrange(export, read_record(export))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda read: setattr(read[1], "name", "mask"), "this model reads input_ids, mask"),
            (lambda read: setattr(read[1].type.tensor_type, "elem_type", 6), "gives its inputs as int64"),
        ],
    )
    def test_inputs_that_it_does_not_give(self, export, change, words):
        model = onnx.load(export / FILE)
        change(model.graph.input)
        onnx.save(model, export / FILE)
        with pytest.raises(ModelError, match=words):
            tei.arrange(export, read_record(export))


class TestSentenceTransformers:
    def test_a_cross_encoder(self, export):
        sentence_transformers.arrange(export, read_record(export))

    def test_a_model_of_vectors_needs_those_of_tokens(self, export):
        (export / "modules.json").write_text("[]")
        record = read_record(export)
        with pytest.raises(ModelError, match="reads last_hidden_state, and this model gives logits"):
            sentence_transformers.arrange(export, record)
        sentence_transformers.arrange(export, dataclasses.replace(record, output="last_hidden_state"))


class TestModelServer:
    @pytest.fixture
    def export(self, exports, tmp_path):
        pytest.importorskip("openvino_tokenizers")
        return shutil.copytree(exports("openvino", "fp32"), tmp_path / "export")

    def test_a_string_goes_in_and_scores_come_out(self, export, monkeypatch):
        import openvino as ov

        # The tests' tokenizer splits in a way that OpenVINO's may not: what is compared is up to this test.
        monkeypatch.setattr(model_server, "_compare", lambda *_: None)
        model_server.arrange(export, read_record(export))
        assert (export / "openvino_tokenizer.xml").is_file()
        # Without that it computes in bfloat16 where the processor multiplies it.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        served = ov.Core().compile_model(export / "1" / "model.xml", "CPU", exact)
        texts = ["a b", "c"]
        found = served(texts)[0]
        expected = [answer.output for answer in prensa.load(export).predict(texts)]
        assert found == pytest.approx(np.array(expected), abs=1e-3)

    def test_a_tokenizer_that_is_not_the_same_is_refused(self, export):
        from openvino_tokenizers import convert_tokenizer

        from prensa.texts.tokenizers import load_tokenizer

        tokenizer = load_tokenizer(export)
        converted = convert_tokenizer(tokenizer)
        tokenizer.add_tokens(["the"])
        with pytest.raises(TokenizerError, match="OpenVINO's tokenizer makes other tokens of"):
            model_server._compare(tokenizer, converted, read_record(export))
