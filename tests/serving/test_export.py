"""Tiny models in every runtime give PyTorch's answers, or are refused with a reason."""

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from tests.calibration.test_collect import ARCHITECTURES
from tests.conftest import SIZES, add_tokenizer, change_weights, directory_bytes, leftovers

import prensa
from prensa.errors import (
    DataError,
    DifferentAnswersError,
    FormatError,
    MissingPackageError,
    ModelError,
    OutputError,
    SettingError,
    TokenizerError,
)
from prensa.runtime import processor
from prensa.runtime.accelerate import accelerate_answers
from prensa.runtime.deberta import projecting
from prensa.serving import exact, exported, onnxruntime, plan, verify
from prensa.serving import export as exporter
from prensa.serving.export import plan_export, run_export
from prensa.serving.exported import read_record
from prensa.serving.program import Program, trace
from prensa.serving.runtimes import RUNTIMES
from prensa.texts.source import Source

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

EXPORTS = [
    (name, precision) for name, runtime in sorted(RUNTIMES.items()) for precision in runtime.PRECISIONS
]
IN_OPENVINO = ("albert", "deberta-v1", "electra-discriminator", "gpt2")
IN_ONNX = ("t5-encoder", "xlm-r")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("to", "precision"), EXPORTS)
def test_answers_are_those_of_pytorch(original, exports, monkeypatch, to, precision):
    """Random weights suffer more from 8 bits than trained ones, whose answers are far apart."""
    monkeypatch.setattr(
        exported, "TOLERANCES", {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.2, "int8": 1.0, "int4": 2.0}
    )
    place = exports(to, precision)
    record = read_record(place)
    assert 0 <= record.difference <= exported.TOLERANCES[precision]
    assert record.texts == "few.csv"
    served = prensa.load(place, runtime=to)
    truth = prensa.load(original, dtype=torch.float32).eval()
    bound = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 0.05, "int8": 2.0, "int4": 3.0}[precision]
    for batch, length in ((1, 1), (1, 16), (3, 7), (2, 32)):
        ids = torch.randint(5, 90, (batch, length), generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        mask[0, max(1, length // 2) :] = 0
        with torch.inference_mode():
            exact = truth(ids, mask).logits
        found = served(input_ids=ids, attention_mask=mask).logits
        assert found.shape == exact.shape
        assert float((found - exact).norm() / exact.norm()) < bound, (batch, length)


@pytest.mark.parametrize(
    ("name", "to"),
    [(name, "openvino") for name in IN_OPENVINO] + [(name, "onnxruntime") for name in IN_ONNX],
)
def test_every_architecture(name, to, few_texts, tmp_path):
    torch.manual_seed(0)
    ARCHITECTURES[name]().eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    record = prensa.export(model, tmp_path / "out", to=to, precision="fp32", texts=few_texts)
    assert record.difference < 1e-3
    served = prensa.load(tmp_path / "out", runtime=to)
    output = served(**served.tokenizer("a b c", return_tensors="pt"))
    assert all(torch.isfinite(each).all() for each in output.to_tuple())


@pytest.mark.parametrize(
    ("name", "words"),
    [("bart", "BartForConditionalGeneration has an encoder and a decoder that writes texts")],
)
def test_what_cannot_be_exported_is_named(tmp_path, name, words):
    torch.manual_seed(0)
    ARCHITECTURES[name]().eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    with pytest.raises(ModelError, match=words):
        prensa.export(model, tmp_path / "out", to="openvino", precision="fp32")
    assert not (tmp_path / "out").exists()


def test_a_pressed_model(pressed, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_SAMPLES", 8)
    record = prensa.export(pressed, tmp_path / "out", to="openvino", precision="bf16")
    assert record.texts == "built-in texts"
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    with pytest.raises(OSError, match="no file named"):  # never random weights
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")


def test_files_lie_where_others_look(exports):
    place = exports("openvino", "fp32")
    assert {"openvino_model.xml", "openvino_model.bin", "config.json", "tokenizer.json"} <= set(
        directory_bytes(place)
    )
    assert (exports("onnxruntime", "fp32") / "onnx" / "model.onnx").is_file()
    assert not leftovers(place.parent)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"to": "tensorrt"}, SettingError, "expected one of openvino, onnxruntime, onnx"),
        ({"to": "onnxruntime", "precision": "bf16"}, SettingError, "onnxruntime has fp32, fp16, int8, int4"),
        ({"to": "openvino", "precision": "int3"}, SettingError, "openvino has fp32, bf16, int8"),
    ],
)
def test_settings(original, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        prensa.export(original, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_not_empty(original, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="holds files that are not a model"):
        prensa.export(original, tmp_path / "out", to="openvino", force=True)


def test_an_export_cannot_be_exported(exports, tmp_path):
    with pytest.raises(ModelError, match="no weights found"):
        prensa.export(exports("openvino", "fp32"), tmp_path / "b", to="openvino")


def test_a_missing_package(original, tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: module != "nncf")
    with pytest.raises(
        MissingPackageError, match=r"nncf, not installed here; run pip install 'prensa\[openvino\]'"
    ):
        prensa.export(original, tmp_path / "out", to="openvino")


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ("layer.0", "from layer 0 on"),
        ("classifier", "in the head alone"),
    ],
)
def test_answers_that_differ_name_the_first_layer(original, few_texts, tmp_path, monkeypatch, broken, where):
    """Here a part of the model is changed between PyTorch's answers and the export."""
    trace = exporter.trace

    def trace_another(model, *arguments, **settings):
        other = copy.deepcopy(model)
        for name, parameter in other.named_parameters():
            if broken in name:
                parameter.data += 1
        return trace(other, *arguments, **settings)

    for module in (exporter, verify):
        monkeypatch.setattr(module, "trace", trace_another)
    with pytest.raises(DifferentAnswersError, match=where):
        prensa.export(original, tmp_path / "out", to="openvino", precision="fp32", texts=few_texts)
    assert not (tmp_path / "out").exists()


def test_a_processor_that_saturates_gets_weights_of_7_bits(exports, tmp_path, monkeypatch):
    """Of an 8-bit ONNX matrix all integers are then within −64 … 64."""
    import onnx

    class Exported:
        def save(self, path):
            shutil.copy(exports("onnxruntime", "fp32") / onnxruntime.FILE, path)

    monkeypatch.setattr(onnxruntime, "_exported", lambda _: Exported())
    largest = {}
    for flags in (["avx2"], ["avx2", "avx512_vnni"]):
        monkeypatch.setattr(processor, "cpu_flags", lambda flags=flags: flags)
        onnxruntime.write(Program(None, (), ()), tmp_path, "int8", [])
        graph = onnx.load(tmp_path / onnxruntime.FILE).graph
        # Tables are looked up, not multiplied: they have 8 bits.
        multiplied = [each for each in graph.initializer if not each.name.endswith("_int8")]
        matrices = [onnx.numpy_helper.to_array(each) for each in multiplied]
        sizes = [
            np.abs(each.astype(int)).max() for each in matrices if each.dtype == np.int8 and each.ndim == 2
        ]
        largest[len(flags)] = max(sizes)
    assert largest[1] <= 64 < largest[2]


def test_no_weight_is_stored_twice(tmp_path):
    """Positions go through the layers of the contents, and what comes out is no table in the file.

    Of as many positions as here; exporters compute small ones right away.
    """
    import onnx

    torch.manual_seed(0)
    config = transformers.DebertaV2Config(
        vocab_size=100,
        relative_attention=True,
        share_att_key=True,
        pos_att_type=["c2p", "p2c"],
        max_position_embeddings=256,
        **SIZES,
    )
    model = transformers.DebertaV2ForSequenceClassification(config).eval()
    row = {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1]}
    inputs = exported.arrays(row, list(row))
    with torch.inference_mode():
        exact = model(**{name: torch.tensor(value) for name, value in inputs.items()}).logits.numpy()
    accelerate_answers(model)
    with projecting(model):
        program = trace(model, row, 256)
    for precision, bytes_of_a_weight in (("fp32", 4), ("int8", 1)):
        onnxruntime.write(program, tmp_path, precision, [])
        graph = onnx.load(tmp_path / onnxruntime.FILE).graph
        nbytes = sum(len(each.raw_data) for each in graph.initializer if len(each.dims) > 1)
        weights = sum(each.numel() for each in model.parameters() if each.dim() > 1)
        # Beside the weights there are scales, of rows that are this short.
        assert nbytes <= 1.1 * bytes_of_a_weight * weights
        answer = onnxruntime.Engine(tmp_path, precision)(inputs)[0]
        assert answer == pytest.approx(exact, abs={"fp32": 1e-5, "int8": 0.02}[precision])


class TestLoading:
    @pytest.fixture
    def out(self, exports, tmp_path):
        return shutil.copytree(exports("openvino", "fp32"), tmp_path / "out")

    def test_the_check_runs_where_it_is_served(self, out):
        content = json.loads((out / exported.FILE).read_text())
        content["answers"] = [[number + 1 for number in answer[::-1]] for answer in content["answers"]]
        (out / exported.FILE).write_text(json.dumps(content))
        with pytest.raises(
            DifferentAnswersError, match="gives different answers from PyTorch on this machine"
        ):
            prensa.load(out, runtime="openvino")

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"version": 4}', '{"version": 3}', '{"version": 1, "rows": 3}']
    )
    def test_a_damaged_record(self, out, content):
        (out / exported.FILE).write_text(content)
        with pytest.raises(FormatError, match="export the model again"):
            prensa.load(out, runtime="openvino")

    def test_a_truncated_graph(self, out):
        weights = (out / "openvino_model.bin").read_bytes()
        (out / "openvino_model.bin").write_bytes(weights[: len(weights) // 2])
        with pytest.raises(FormatError, match="OpenVINO cannot load it"):
            prensa.load(out, runtime="openvino")

    def test_another_runtime_than_it_was_made_for(self, out):
        with pytest.raises(SettingError, match="exported for openvino, not for onnxruntime"):
            prensa.load(out, runtime="onnxruntime")
        with pytest.raises(SettingError, match="for PyTorch load the model it came from"):
            prensa.load(out, runtime="torch")

    def test_auto_takes_what_it_was_made_for(self, out):
        assert prensa.load(out, runtime="auto").record == read_record(out)
        assert prensa.load(out).record == read_record(out)


@pytest.fixture
def planned(original, converted, few_texts, tmp_path):
    """An export that is quickly made."""
    converted("onnxruntime", "fp32")
    return plan_export(original, tmp_path / "out", to="onnx", precision="fp32", texts=Source(few_texts))


def test_whoever_approves_sees_the_finished_export_before_it_is_in_its_place(planned, tmp_path):
    def approve(directory, record):
        assert directory != planned.output
        assert not planned.output.exists()
        answers = prensa.load(directory).predict(["a b", "c"])
        assert len(list(answers)) == 2
        return dataclasses.replace(record, drop=0.25)

    record = run_export(planned, approve=approve)
    assert record.drop == 0.25
    assert read_record(tmp_path / "out") == record
    assert not leftovers(tmp_path)


def test_an_export_that_is_not_approved_leaves_the_old_one(planned, tmp_path, few_texts):
    run_export(planned)
    before = directory_bytes(tmp_path / "out")

    def approve(directory, record):
        raise DifferentAnswersError("loses too much")

    with pytest.raises(DifferentAnswersError, match="loses too much"):
        run_export(dataclasses.replace(planned, force=True), approve=approve)
    assert directory_bytes(tmp_path / "out") == before
    assert not leftovers(tmp_path)


def test_an_export_is_made_anew_and_what_else_lies_there_stays(planned, tmp_path):
    run_export(planned)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    run_export(
        dataclasses.replace(planned, force=True),
        approve=lambda directory, record: dataclasses.replace(record, drop=0.5),
    )
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert read_record(tmp_path / "out").drop == 0.5


@pytest.fixture
def decoder(tmp_path):
    """A GPT-2 whose texts all begin with the same token, and whose answers are far apart behind it."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=2, n_positions=32)
    model = transformers.GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():
        parameter.data *= 20 if parameter.dim() == 2 else 1
    model.save_pretrained(tmp_path / "decoder")
    return add_tokenizer(tmp_path / "decoder")


@pytest.mark.parametrize("to", sorted(RUNTIMES))
def test_a_right_decoder_in_full_precision_is_not_refused(decoder, texts, tmp_path, to):
    record = prensa.export(decoder, tmp_path / "out", to=to, precision="fp32", texts=texts)
    assert record.difference < 1e-3
    assert prensa.load(tmp_path / "out").record == record


def test_a_decoder_that_is_wrong_at_its_later_tokens_is_refused(decoder, texts, tmp_path, monkeypatch):
    trace = exporter.trace

    def trace_another(model, *arguments, **settings):
        other = copy.deepcopy(model)
        other.transformer.wpe.weight.data[6:] *= -1
        return trace(other, *arguments, **settings)

    monkeypatch.setattr(exporter, "trace", trace_another)
    with pytest.raises(DifferentAnswersError, match=r"on texts\.csv \(distance"):
        prensa.export(decoder, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)
    assert not (tmp_path / "out").exists()


def test_the_record_keeps_ids_of_the_users_texts(original, texts, tmp_path):
    record = prensa.export(original, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    lines = [line.rpartition(",")[0] for line in texts.read_text().splitlines()[1:]]
    ids = [tokenizer(line)["input_ids"] for line in lines]
    assert 1 <= len(record.rows) <= 8
    assert all(row["input_ids"] in ids for row in record.rows)
    assert not any(line in (tmp_path / "out" / exported.FILE).read_text() for line in lines)


def test_an_original_without_numbers_is_named(original, texts, tmp_path):
    change_weights(original, lambda tensors: tensors["classifier.bias"].fill_(float("nan")))
    with pytest.raises(ModelError, match=r"gives no number \(NaN or infinity\)"):
        prensa.export(original, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)


def test_an_original_that_answers_all_texts_alike_is_named(original, texts, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(exact._log, "warning", lambda line, *values: said.append(line % values))
    change_weights(original, lambda tensors: tensors["classifier.weight"].zero_())
    change_weights(original, lambda tensors: tensors["classifier.bias"].fill_(0.5))
    record = prensa.export(original, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)
    assert record.difference == 0
    assert "gives the same answer to all 90 texts" in said[0]
    prensa.load(tmp_path / "out")


def test_a_runtime_that_fails_on_padded_texts_is_refused(original, texts, tmp_path, monkeypatch):
    """As one whose graph was fixed to a batch of one."""

    class Engine(onnxruntime.Engine):
        def __call__(self, inputs):
            if len(inputs["input_ids"]) > 1:
                raise ValueError("expected a batch of 1")
            return super().__call__(inputs)

    monkeypatch.setattr(onnxruntime, "Engine", Engine)
    with pytest.raises(ModelError, match=r"fails on 3 × \d+ tokens \(expected a batch of 1\)"):
        prensa.export(original, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)


def test_a_tokenizer_with_more_ids_than_rows(original, texts, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    tokenizer.add_tokens([f"token{number}" for number in range(300)] + ["aaa"])
    tokenizer.save_pretrained(original)
    words = r"the tokenizer gives the id \d+, but the model's embedding has 200 rows"
    with pytest.raises(TokenizerError, match=words):
        prensa.export(original, tmp_path / "out", to="onnxruntime", texts=texts)
    with pytest.raises(TokenizerError, match=words):
        prensa.evaluate(original, original, data=texts)
    served = prensa.load(original, runtime="torch", dtype="float32")
    assert len(list(served.predict(["b c"]))) == 1
    with pytest.raises(DataError, match=r"input_ids: found \d+, expected 0 to 199; use the tokenizer that"):
        list(served.predict(["b aaa"]))


@pytest.mark.parametrize("to", sorted(RUNTIMES))
def test_windows_and_padding(tmp_path, to):
    """Far in the padding a sliding window holds no token; fused kernels answer all texts with no number then."""
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=120, use_sliding_window=True, sliding_window=2, max_window_layers=0, num_key_value_heads=2,
        **SIZES,
    )  # fmt: skip
    transformers.Qwen2ForCausalLM(config).eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    (tmp_path / "texts.txt").write_text("a\nb\na b c d e f g h i j\n")
    prensa.export(model, tmp_path / "out", to=to, precision="fp32", texts=tmp_path / "texts.txt")
    served = prensa.load(tmp_path / "out")
    inputs = served.tokenizer(
        ["a", "a b c d e f g h i j"], padding=True, padding_side="right", return_tensors="pt"
    )
    truth = prensa.load(model, dtype=torch.float32).eval()
    with torch.inference_mode():
        exact = truth(**{name: inputs[name] for name in ("input_ids", "attention_mask")}).logits
    found = served(**inputs).logits
    assert torch.allclose(found[0, :3], exact[0, :3], atol=1e-3)
    assert torch.allclose(found[1], exact[1], atol=1e-3)


def test_a_model_of_pictures_and_texts_is_one_line(tmp_path, texts):
    torch.manual_seed(0)
    part = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": 120, **part},
        vision_config={"image_size": 8, "patch_size": 4, **part},
        projection_dim=8,
    )
    transformers.CLIPModel(config).eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    with pytest.raises(ModelError, match="CLIPModel reads pictures beside texts"):
        prensa.export(model, tmp_path / "out", to="onnxruntime", precision="fp32", texts=texts)
