"""Texts and pairs answered as ``transformers.pipeline`` answers them."""

import asyncio
import copy
import json

import numpy as np
import pytest
import transformers
from tests.bert import around, bert
from tests.server.conftest import SETTINGS, build

import prensa
from prensa.errors import DataError, ModelError
from prensa.texts.given import Given

NLI = ("contradiction", "neutral", "entailment")
GIVEN = [
    "one",
    ("one", "two"),
    ["two", "one and more"],
    {"text": "a", "text_pair": "b"},
    {"text": "one"},
    ("", "x"),
]


def classifier(directory, names, **settings):
    labels = dict(enumerate(names))
    ids = {name: index for index, name in labels.items()}
    return bert(directory, "BertForSequenceClassification", id2label=labels, label2id=ids, **settings)


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    return classifier(tmp_path_factory.mktemp("nli") / "model", NLI)


def serve(path):
    return prensa.load(path, runtime="torch", dtype="float32")


def as_dict(given):
    if isinstance(given, dict):
        return given
    return {"text": given} if isinstance(given, str) else {"text": given[0], "text_pair": given[1]}


def check_scores(path, served=None):
    pipeline = transformers.pipeline("text-classification", model=str(path))
    answers = list((served or serve(path)).predict(GIVEN, batch_size=3))
    for given, answer in zip(GIVEN, answers, strict=True):
        for each in pipeline(as_dict(given), top_k=None):
            assert answer.scores[each["label"]] == pytest.approx(each["score"], abs=1e-5)
    return answers


def test_texts_and_pairs_in_one_list(nli):
    answers = check_scores(nli)
    assert not np.allclose(answers[0].output, answers[1].output)
    np.testing.assert_allclose(answers[0].output, answers[4].output, atol=1e-6)


@pytest.mark.parametrize("problem", ["multi_label_classification", None])
@pytest.mark.parametrize("names", [("yes",), ("yes", "no")])
def test_scores_are_the_pipelines(tmp_path, names, problem):
    check_scores(classifier(tmp_path / "model", names, problem_type=problem))


def test_a_number_without_bounds_has_no_scores(tmp_path):
    path = classifier(tmp_path / "model", ("score",), problem_type="regression")
    (answer,) = serve(path).predict([("a", "b")])
    assert answer.scores == {}
    assert answer.output.shape == (1,)


@pytest.mark.peers
def test_a_cross_encoder_gives_its_librarys_score(tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="compares with sentence-transformers")
    path = classifier(tmp_path / "model", ("LABEL_0",))
    settings = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    inputs = {"transformer_task": "sequence-classification", "max_seq_length": 8}
    around(path, inputs=inputs, settings={**settings, "prompts": {"q": "q: "}, "default_prompt_name": "q"})
    for name in ("modality_config", "module_output_name"):
        assert name not in json.loads((path / "sentence_bert_config.json").read_text())
    pairs = [("one", "two"), ("a longer one", "and another long one")]
    right = library.CrossEncoder(str(path), device="cpu").predict(pairs)
    np.testing.assert_allclose([answer.output[0] for answer in serve(path).predict(pairs)], right, atol=1e-5)


def test_zero_shot_pipelines_take_it(nli):
    served = serve(nli)
    fast = transformers.pipeline("zero-shot-classification", model=served, tokenizer=served.tokenizer)
    right = transformers.pipeline("zero-shot-classification", model=str(nli))
    found, wanted = (each("a text", ["x", "y"]) for each in (fast, right))
    assert found["labels"] == wanted["labels"]
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-5)


def test_two_labels_of_one_name_keep_both_probabilities(nli, tmp_path):
    path = classifier(tmp_path / "model", ("other", "rude"), num_labels=2)
    config = json.loads((path / "config.json").read_text())
    config |= {"id2label": {"0": "other", "1": "other"}, "label2id": {"other": 1}}
    (path / "config.json").write_text(json.dumps(config))
    (answer,) = serve(path).predict(["a"])
    assert set(answer.scores) == {"other", "other_1"}
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)
    data = tmp_path / "data.csv"
    data.write_text("text,label\na,other\nb,other\n")
    with pytest.raises(DataError, match="the label 'other' is in config.json the name of several outputs"):
        prensa.evaluate(path, path, data=data)


def test_the_index_counts_over_batches(nli):
    with pytest.raises(DataError, match="input 40: expected"):
        list(serve(nli).predict(["a"] * 40 + [None], batch_size=1))


@pytest.mark.parametrize(
    ("head", "message"),
    [("BertForMultipleChoice", "chooses one of several texts"), ("T5", "has an encoder and a decoder")],
)
@pytest.mark.parametrize("runtime", ["torch", "openvino", "auto"])
def test_what_cannot_be_served_says_what_it_is(tmp_path, head, message, runtime):
    if head == "T5":
        config = transformers.T5Config(vocab_size=160, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
        transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    else:
        bert(tmp_path, head)
    with pytest.raises(ModelError, match=message):
        prensa.load(tmp_path, runtime=runtime)


def test_what_does_not_run_on_texts_alone_says_so(tmp_path):
    bert(tmp_path)
    config = transformers.T5Config(vocab_size=1000, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    transformers.T5Model(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="T5Model does not answer texts alone"):
        prensa.load(tmp_path, runtime="torch", dtype="float32")


def without_numbers(served, length, value):
    """Let a model give a value that is no number for one token of each text of so many tokens."""
    broken = copy.copy(served)

    def engine(inputs):
        arrays = [array.copy() for array in served.engine(inputs)]
        for array in arrays:
            rows = np.flatnonzero(inputs["attention_mask"].sum(axis=1) == length)
            array[rows, 0] = value
        return arrays

    broken.engine = engine
    return broken


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("task", SETTINGS)
def test_what_is_no_number_is_no_answer(tmp_path, task, value):
    served = serve(build(tmp_path, task))
    texts = ["a", "a b", "a b c", "a b"]
    length = 4
    if task == "questions":
        # Of several windows the last one, which is shorter, has no numbers.
        texts = [("who", "a"), ("who", "a " * 40), ("who", "a b")]
        windows = served.answering().read([Given("who", "a " * 40)], 0)
        length = len(windows[-1].row["input_ids"])
        assert len(windows) > 1
        assert length < len(windows[0].row["input_ids"])
    broken = without_numbers(served, length, value)
    for ask in (broken.predict, lambda given: asyncio.run(broken.apredict(given))):
        with pytest.raises(ModelError, match=r"input 1: the model gave no number.*`dtype` float32"):
            list(ask(texts))

    # Those before it are answered, and the others by whoever wants to know each.
    assert next(broken.predict(texts)).has_numbers
    answers = list(broken.attempted(texts))
    assert not answers[1].has_numbers
    assert (answers[1].label, answers[1].scores, answers[1].spans) == (None, {}, ())
    for answer, right in zip(answers[::2], served.predict(texts[::2]), strict=True):
        assert answer.has_numbers
        np.testing.assert_allclose(answer.output, right.output, atol=1e-5)


def test_the_text_without_a_number_is_counted_over_batches(nli):
    broken = without_numbers(serve(nli), 4, np.nan)
    with pytest.raises(ModelError, match="input 40: the model gave no number"):
        list(broken.predict(["a"] * 40 + ["a b"], batch_size=1))
