"""Vectors of texts against those of the library itself, module by module, and what is refused."""

import json

import numpy as np
import pytest
import torch
from tests.bert import around, bert, dense, pooling

import prensa
from prensa.errors import DataError, ModelError
from prensa.runtime.text_vector import TextVector, read_text_vector

pytestmark = pytest.mark.peers

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
TEXTS = ["a few letters", "Some CAPITAL ones", "  spaces around  ", "", "x", "far more letters than it reads"]
PROMPTS = {"prompts": {"query": "ask: ", "other": "b"}, "default_prompt_name": "query"}


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("sentence_transformers", reason="compares with sentence-transformers")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("encoder") / "model")


@pytest.fixture
def copied(encoder, tmp_path):
    """A copy of the encoder to put modules around."""
    (tmp_path / "model").mkdir()
    for path in encoder.iterdir():
        (tmp_path / "model" / path.name).symlink_to(path)
    return tmp_path / "model"


def encoded(library, path, **settings):
    model = library.SentenceTransformer(str(path), device="cpu")
    return model.encode(TEXTS, batch_size=4, **settings)


def predicted(path, runtime="torch", **settings):
    dtype = {"dtype": "float32"} if runtime == "torch" else {}
    answers = prensa.load(path, runtime=runtime, **dtype).predict(TEXTS, batch_size=4, **settings)
    return np.stack([answer.output for answer in answers])


NORMALIZE = ("Normalize", None, {})
CHAINS = {
    "all at once": [pooling(list(MODES))],
    "old keys": [
        (
            "Pooling",
            {
                "word_embedding_dimension": 32,
                "pooling_mode_lasttoken": True,
                "pooling_mode_cls_token": True,
                "pooling_mode_mean_tokens": False,
                "pooling_mode_max_tokens": True,
            },
            {},
        )
    ],
    "no key": [("Pooling", {"word_embedding_dimension": 32}, {})],
    "new paths": [
        ("sentence_transformers.sentence_transformer.modules.pooling.Pooling", pooling("max")[1], {}),
        ("sentence_transformers.base.modules.normalize.Normalize", {}, {}),
    ],
    "dense, normalized": [pooling(), dense(32, 8), NORMALIZE],
    "normalized, dense": [
        pooling(),
        NORMALIZE,
        dense(32, 8, activation_function="torch.nn.modules.activation.GELU"),
    ],
    "on top": [
        pooling(),
        dense(32, 8, use_residual=True, activation_function="torch.nn.modules.linear.Identity"),
        dense(8, 8, use_residual=True),
        ("Dropout", {"dropout": 0.5}, {}),
        ("LayerNorm", {"dimension": 8}, {"norm.weight": torch.arange(8.0), "norm.bias": torch.ones(8)}),
    ],
    "tokens first": [
        dense(32, 8, module_input_name="token_embeddings"),
        ("Normalize", {"module_input_name": "token_embeddings"}, {}),
        ("Pooling", {"embedding_dimension": 8, "pooling_mode": "mean"}, {}),
    ],
} | {mode: [pooling(mode)] for mode in MODES}


@pytest.mark.parametrize("chain", CHAINS)
def test_vectors_are_those_of_the_library(library, copied, chain):
    around(copied, *CHAINS[chain])
    np.testing.assert_allclose(predicted(copied), encoded(library, copied), atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        {"max_seq_length": 6, "do_lower_case": True},
        {
            "max_seq_length": 6,
            "tokenizer_args": {"model_max_length": 9},
            "model_args": {"add_pooling_layer": False},
        },
        {"processing_kwargs": {"text": {"max_length": 7}}},
    ],
)
def test_lengths_and_case(library, copied, inputs):
    around(copied, pooling(), inputs=inputs)
    np.testing.assert_allclose(predicted(copied), encoded(library, copied), atol=1e-5)


def test_older_names_of_the_settings(library, copied):
    around(copied, pooling())
    (copied / "sentence_roberta_config.json").write_text('{"max_seq_length": 5}')
    np.testing.assert_allclose(predicted(copied), encoded(library, copied), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("include", [True, False])
def test_prompts(library, copied, mode, include):
    around(copied, pooling(mode, include_prompt=include), settings=PROMPTS)
    np.testing.assert_allclose(predicted(copied), encoded(library, copied), atol=1e-5)
    for name in ("other", "document"):
        right = encoded(library, copied, prompt_name=name)
        np.testing.assert_allclose(predicted(copied, prompt_name=name), right, atol=1e-5)


def test_a_prompt_that_is_none_of_the_models(copied):
    served = prensa.load(around(copied, pooling(), settings=PROMPTS), runtime="torch", dtype="float32")
    with pytest.raises(DataError, match="no prompt 'passage'; it has query, document, other"):
        next(served.predict(["a"], prompt_name="passage"))


def test_dimensions_that_are_cut_off(library, copied):
    around(copied, pooling(), NORMALIZE, settings={"truncate_dim": 5})
    found = predicted(copied)
    assert found.shape == (len(TEXTS), 5)
    np.testing.assert_allclose(found, encoded(library, copied), atol=1e-5)


def test_pickled_half_precision_weights(library, copied):
    around(copied, pooling(), dense(32, 8))
    weights = {name: tensor.half() for name, tensor in dense(32, 8)[2].items()}
    (copied / "2_Dense" / "model.safetensors").unlink()
    torch.save(weights, copied / "2_Dense" / "pytorch_model.bin")
    np.testing.assert_allclose(predicted(copied), encoded(library, copied), atol=1e-5)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_in_other_runtimes(library, copied, tmp_path, runtime):
    pytest.importorskip(runtime, reason=f"needs {runtime}")
    around(
        copied,
        pooling(["cls", "mean"]),
        dense(64, 8),
        NORMALIZE,
        inputs={"max_seq_length": 12},
        settings=PROMPTS,
    )
    prensa.export(copied, tmp_path / "export", to=runtime, precision="fp32")
    np.testing.assert_allclose(predicted(tmp_path / "export", runtime), encoded(library, copied), atol=1e-5)


def test_what_is_evaluated_are_these_vectors(library, copied, tmp_path, quick):
    around(copied, pooling("max"), dense(32, 8), inputs={"max_seq_length": 6}, settings=PROMPTS)
    from prensa.evaluation import evaluate
    from prensa.evaluation.predict import predict
    from prensa.jobs.comparison import Comparison

    (tmp_path / "texts.txt").write_text("\n".join(text for text in TEXTS if text.strip()))
    plan = Comparison(copied, (copied,), data=tmp_path / "texts.txt").plan().evaluation
    models = evaluate._load(plan, lambda *_: None)
    ((order, (found,)),) = predict(models[:1], plan.vectors[:1], plan.readings[:1], 8)
    right = library.SentenceTransformer(str(copied), device="cpu").encode(
        [plan.judge.plan.texts.texts[i] for i in order]
    )
    np.testing.assert_allclose(np.stack(found), right, atol=1e-5)


@pytest.mark.parametrize("kind", ["CNN", "LSTM", "WordWeights", "WeightedLayerPooling", "my_code.Pooling"])
def test_other_modules_are_refused_by_name(copied, kind):
    around(copied, (kind, {}, {}), pooling())
    with pytest.raises(ModelError, match=f"does not compute the module {kind}"):
        read_text_vector(copied)
    with pytest.raises(ModelError, match=f"does not compute the module {kind}"):
        prensa.evaluate(copied, copied)


@pytest.mark.parametrize(
    ("modules", "inputs", "settings", "named"),
    [
        ([pooling("median")], {}, {}, "the pooling mode 'median'"),
        ([pooling(["mean", "first"])], {}, {}, "the pooling mode 'first'"),
        ([pooling(heads=4)], {}, {}, "the setting heads of the module Pooling"),
        ([pooling(), dense(32, 8, activation_function="os.system")], {}, {}, "the activation os.system"),
        ([pooling(), dense(32, 8, module_output_name="late")], {}, {}, "'late'"),
        ([NORMALIZE], {}, {}, "without a module Pooling"),
        ([pooling()], {"modality_config": {"message": {}}}, {}, "the setting modality_config"),
        ([pooling()], {"tokenizer_args": {"add_eos_token": True}}, {}, "tokenizer_args.add_eos_token"),
        ([pooling()], {"config_args": {"is_causal": False}}, {}, "config_args.is_causal"),
        ([pooling()], {}, {"model_type": "SparseEncoder"}, "SparseEncoder"),
    ],
)
def test_other_settings_are_refused_by_name(copied, modules, inputs, settings, named):
    around(copied, *modules, inputs=inputs, settings=settings)
    with pytest.raises(ModelError, match=named):
        read_text_vector(copied)


@pytest.mark.parametrize("what", ["config.json", "model.safetensors"])
def test_damaged_modules_are_named(copied, what):
    around(copied, pooling(), dense(32, 8))
    (copied / "2_Dense" / what).write_text("{")
    with pytest.raises(ModelError, match=what):
        read_text_vector(copied)


def test_without_modules_it_is_the_mean(tmp_path):
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]]])
    assert read_text_vector(tmp_path) == TextVector()
    assert TextVector()(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 4.0]]
    assert TextVector()(hidden[:, :2], None).tolist() == [[2.0, 4.0]]


def test_padding_before_a_text_does_not_count():
    from prensa.runtime.pooling import Pool

    hidden, mask = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(1, 3).long()
    before = torch.cat([torch.full((1, 2, 4), 99.0), hidden], dim=1)
    for prompt in (0, 1):
        whole = TextVector((Pool(MODES, prompt),))
        found = whole(before, torch.tensor([[0, 0, 1, 1, 1]]))
        assert torch.allclose(found, whole(hidden, mask), atol=1e-6)


def test_no_vector_is_read_for_other_tasks(copied):
    around(copied, ("SpladePooling", {}, {}))
    assert read_text_vector(copied, "masked") == TextVector()


def test_an_unfinished_modules_file_is_named(copied):
    (copied / "modules.json").write_text(json.dumps([{"path": ""}]))
    with pytest.raises(ModelError, match="a path and a type"):
        read_text_vector(copied)
