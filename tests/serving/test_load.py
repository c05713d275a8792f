"""``prensa.load`` with a runtime: ready to answer, by itself or in a pipeline."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from tests.conftest import add_tokenizer, build_mixing, build_model

import prensa
from prensa.errors import DataError, ModelError, OutputError, SettingError
from prensa.runtime import processor
from prensa.serving import exports, fastest
from prensa.serving.exported import TOLERANCES

LAYERS = {"layers": 1, "attention_heads": 2, "ffn_dim": 16}
TEXTS = ["a b c", "", "z " * 60, "b", "a a a"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def said(monkeypatch):
    """What is logged, whatever other libraries have done to the handlers of logs."""
    lines = []
    for module in (exports, fastest):
        monkeypatch.setattr(module._log, "warning", lambda line, *values: lines.append(line % values))
    return lines


@pytest.fixture
def served(original):
    return prensa.load(original, runtime="torch", dtype=torch.float32)


def test_without_a_runtime_it_is_a_pytorch_model(original):
    assert isinstance(prensa.load(original), transformers.DebertaV2ForSequenceClassification)
    assert prensa.load(original, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_answers_are_those_of_the_model(original, served):
    truth = prensa.load(original, dtype=torch.float32).eval()
    for text, answer in zip(TEXTS, served.predict(TEXTS, batch_size=2), strict=True):
        inputs = served.tokenizer(text, return_tensors="pt", truncation=True, max_length=32)
        with torch.inference_mode():
            logits = truth(**{key: inputs[key] for key in ("input_ids", "attention_mask")}).logits[0]
        assert np.allclose(answer.output, logits.numpy(), atol=1e-4)
        assert answer.label == truth.config.id2label[int(logits.argmax())]
        assert sum(answer.scores.values()) == pytest.approx(1)


@pytest.mark.parametrize("family", ["FNet", "ConvBert"])
@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_model_that_mixes_padding_in_answers_as_it_does_alone(family, runtime, tmp_path):
    pytest.importorskip(runtime)
    model = build_mixing(family, tmp_path / "model")
    served = prensa.load(tmp_path / "model", runtime=runtime)
    assert not served.record.is_paddable
    texts = ["a", "a b c d e f g h i j k l m n o p q r s t"]
    alone = [next(iter(served.predict([text]))).output for text in texts]
    for text, answer, right in zip(texts, served.predict(texts), alone, strict=True):
        inputs = served.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**{name: inputs[name] for name in served.record.inputs}).logits[0]
        assert np.allclose(answer.output, right)
        assert np.allclose(answer.output, logits.numpy(), atol=0.1 * float(logits.abs().max()))


def test_texts_are_answered_as_they_come(served):
    """A batch of batches at a time: what is asked for later is not read before."""
    read = []

    def texts():
        for number in range(50):
            read.append(number)
            yield "a " * (number % 5)

    answers = served.predict(texts(), batch_size=2)
    next(answers)
    assert len(read) == 32
    assert len(list(answers)) == 49


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_pipeline_takes_it(original, exports, caplog, runtime):
    pytest.importorskip("openvino")
    served = prensa.load(original if runtime == "torch" else exports("openvino", "fp32"), runtime=runtime)
    plain = transformers.pipeline("text-classification", model=str(original), dtype=torch.float32)
    transformers.utils.logging.enable_propagation()
    with caplog.at_level(logging.ERROR):
        fast = transformers.pipeline("text-classification", model=served, tokenizer=served.tokenizer)
    transformers.utils.logging.disable_propagation()
    assert "not supported" not in caplog.text
    for one, other in zip(plain(["a b", "q"]), fast(["a b", "q"], batch_size=2), strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=0.05)


@pytest.mark.parametrize("wrong", ["one text", b"one text", {"text": "one"}, [3], ["a", None]])
def test_what_is_no_text(served, wrong):
    with pytest.raises(
        DataError, match="takes many texts" if not isinstance(wrong, list) else "expected a text"
    ):
        list(served.predict(wrong))
    with pytest.raises(SettingError, match="at least 1"):
        list(served.predict(["a"], batch_size=0))


def test_a_model_that_answers_no_whole_texts(tmp_path):
    served = prensa.load(add_tokenizer(build_model("bert", tmp_path / "model")), runtime="torch")
    with pytest.raises(
        DataError, match=r'BertForMaskedLM is a model for fill-mask; use .*pipeline\("fill-mask"\)'
    ):
        list(served.predict(["a"]))


def test_vectors_of_texts(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=120, hidden_size=48, num_hidden_layers=1, num_attention_heads=4
    )
    transformers.BertModel(config).eval().save_pretrained(tmp_path / "model")
    served = prensa.load(add_tokenizer(tmp_path / "model"), runtime="torch", dtype="float32")
    some = list(served.predict(["a b", "c"]))
    assert [answer.output.shape for answer in some] == [(48,), (48,)]
    assert some[0].label is None


def test_bfloat16_only_where_the_processor_multiplies_it(original, monkeypatch):
    for flags, precision in ((["avx2"], "float32"), (["avx512_bf16"], "bfloat16")):
        monkeypatch.setattr(processor, "cpu_flags", lambda flags=flags: flags)
        assert prensa.load(original, runtime="torch").record.precision == precision


def test_an_export_on_the_spot_is_kept_and_a_damaged_one_made_again(original, cache, said, converted):
    pytest.importorskip("openvino")
    converted("openvino", "fp32")
    prensa.load(original, runtime="openvino")
    (place,) = (cache / "exports").iterdir()
    made = (place / "openvino_model.bin").stat().st_mtime_ns
    prensa.load(original, runtime="openvino")
    assert (place / "openvino_model.bin").stat().st_mtime_ns == made
    (place / "prensa_export.json").write_text("{}")
    prensa.load(original, runtime="openvino")
    assert len(said) == 1
    assert "made again" in said[0]
    assert (place / "openvino_model.bin").stat().st_mtime_ns > made


def test_of_several_threads_one_exports(original, cache, monkeypatch):
    made = []

    def export(place):
        made.append(place)
        place.mkdir(parents=True)

    monkeypatch.setattr(exports, "plan_export", lambda model, place, **_: place)
    monkeypatch.setattr(exports, "run_export", export)
    monkeypatch.setattr(exports, "read_record", str)
    monkeypatch.setattr(exports, "opened", lambda place, *_: place)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: prensa.load(original, runtime="openvino"), range(8)))
    assert found == set(made)
    assert len(made) == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_another_process_exports_meanwhile(original, monkeypatch, is_there):
    def fail(place):
        raise OutputError(f"{place}: another run has written it meanwhile")

    monkeypatch.setattr(exports, "plan_export", lambda model, place, **_: place)
    monkeypatch.setattr(exports, "run_export", fail)
    monkeypatch.setattr(exports, "read_record", str)
    monkeypatch.setattr(exports, "is_export", lambda place: is_there and place != original)
    monkeypatch.setattr(exports, "opened", lambda place, *_: place)
    if is_there:
        assert prensa.load(original, runtime="openvino").parent.name == "exports"
    else:
        with pytest.raises(OutputError, match="PRENSA_CACHE names another place"):
            prensa.load(original, runtime="openvino")


def test_an_export_on_the_spot_depends_on_the_tokenizer_too(original):
    found = [exports.digest(original)]
    for name in ("tokenizer.json", "bpe.codes", "modeling_own.py", "vocab"):
        with (original / name).open("a") as file:
            file.write("\n")
        found.append(exports.digest(original))
    assert len(set(found)) == len(found)
    (original / "README.md").write_text("changes no answer")
    assert exports.digest(original) == found[-1]


def test_a_head_of_random_numbers_is_served_to_those_alone_who_allow_it(original, monkeypatch):
    monkeypatch.setattr(exports, "plan_export", lambda model, place, **_: place)
    monkeypatch.setattr(exports, "run_export", lambda place: place.mkdir(parents=True))
    monkeypatch.setattr(exports, "read_record", str)
    monkeypatch.setattr(exports, "opened", lambda place, *_: place)
    places = {prensa.load(original, runtime="openvino", allow_new_head=allow) for allow in (True, False)}
    assert len(places) == 2


def test_auto_takes_the_fastest_that_is_right(original, monkeypatch, said):
    monkeypatch.setattr(fastest, "_SECONDS", 0.0)
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    served = prensa.load(original, runtime="auto")
    assert served.record.runtime == "torch"
    assert "not installed, so not tried: onnxruntime, openvino" in said


def test_int8_on_a_processor_that_overflows_is_an_export_with_weights_of_7_bits(
    original, monkeypatch, said, cache
):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(fastest, "in_turns", lambda works, seconds, twice: [2.0, 1.0])
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx2"])
    monkeypatch.setitem(TOLERANCES, "int8", 1.0)  # random weights suffer more than trained ones
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: module not in {"openvino", "nncf"})
    served = prensa.load(original, runtime="auto", dtype="int8")
    # PyTorch in float32 is timed, too; here it is made to be slower.
    assert (served.record.runtime, served.record.precision) == ("onnxruntime", "int8")
    assert any("overflow on this processor" in line for line in said)
    assert len(list(served.predict(["a b", "c"]))) == 2


def test_auto_without_any_way_in_8_bits_is_pytorch_in_float32(original, monkeypatch, said):
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx2"])
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    served = prensa.load(original, runtime="auto", dtype="int8")
    assert (served.record.runtime, served.record.precision) == ("torch", "float32")
    assert "nothing else is left" in said[-1]


def test_auto_says_why_a_model_is_not_exported(tmp_path, monkeypatch, said):
    monkeypatch.setattr(fastest, "_SECONDS", 0.0)
    torch.manual_seed(0)
    half = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in LAYERS.items()}
    config = transformers.BartConfig(vocab_size=120, d_model=16, pad_token_id=0, eos_token_id=3, **half)
    transformers.BartForSequenceClassification(config).eval().save_pretrained(tmp_path / "model")
    served = prensa.load(add_tokenizer(tmp_path / "model"), runtime="auto")
    assert served.record.runtime == "torch"
    assert len(said) == 1
    assert "BartForSequenceClassification" in said[0]
    assert len(list(served.predict(["a", "b c d"]))) == 2


def test_what_gives_other_answers_is_logged_and_left_out(original, monkeypatch, said):
    # So that there is another way than the one that all are compared with.
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx512_bf16"])
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    monkeypatch.setattr(fastest, "distance", lambda found, exact: 0.3)
    served = prensa.load(original, runtime="auto")
    assert served.record.precision == "float32"
    assert any("gives different answers from PyTorch in float32 (distance 0.3" in line for line in said)


def test_a_decoder_that_classifies_answers_padded_batches(tmp_path):
    """GPT-2 looks for the last token before the padding, and its config does not name that."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=120, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2ForSequenceClassification(config).eval().save_pretrained(tmp_path / "model")
    served = prensa.load(add_tokenizer(tmp_path / "model"), runtime="torch", dtype="float32")
    some = ["a", "b c d e f", "g h"]
    together = list(served.predict(some))
    for text, answer in zip(some, together, strict=True):
        assert np.allclose(next(served.predict([text])).output, answer.output, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"runtime": "auto", "dtype": "int3"}, "`dtype=int3`: expected float32"),
        ({"runtime": "tpu"}, "expected auto, torch, onnxruntime, openvino"),
        ({"runtime": "openvino", "device": "cuda"}, "runs on the processor"),
        ({"runtime": "openvino", "dtype": "float16"}, "runs in int8, bf16, fp32, found float16"),
        ({"runtime": "onnxruntime", "dtype": torch.bfloat16}, "runs in int8, fp32, found bfloat16"),
        ({"runtime": "torch", "low_cpu_mem_usage": True}, "low_cpu_mem_usage: only for a model without"),
    ],
)
def test_settings(original, settings, words):
    with pytest.raises(SettingError, match=words):
        prensa.load(original, **settings)


def test_no_model(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelError):
        prensa.load(tmp_path / "nothing", runtime="torch")
