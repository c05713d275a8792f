import huggingface_hub
import pytest
from tests.bert import around, bert, pooling
from tests.conftest import build_model, directory_bytes

import prensa
from prensa.checkpoint.card import set_evaluation
from prensa.checkpoint.hub_names import model_name
from prensa.pressing.recipe import Changes, adjusted

ORIGINAL = """---
license: mit
language:
- es
tags:
- toxicity
base_model: microsoft/deberta-v3-base
model-index:
- name: x
  results: []
pipeline_tag: text-classification
---
# My model

Made with care.
"""


def card(path):
    return huggingface_hub.RepoCard.load(path / "README.md")


def test_metadata_and_how_to_load_it(model, tmp_path):
    manifest = prensa.compress(model, tmp_path / "out").manifest
    found = card(tmp_path / "out")
    assert found.data.to_dict() == {
        "base_model": "model",
        "base_model_relation": "quantized",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["prensa"],
    }
    assert f"{manifest.nbytes / 1e6:.2f} MB" in found.text
    assert "Not measured yet" in found.text
    code = (
        found.text.split("```python\n")[1]
        .split("```")[0]
        .replace("path/to/this/model", str(tmp_path / "out"))
    )
    assert len(code.splitlines()) == 3
    names = {}
    exec(code, names)
    assert type(names["model"]).__name__ == "DebertaV2ForSequenceClassification"


def test_a_plain_result_needs_no_prensa(model, tmp_path):
    recipe = adjusted(prensa.load_preset("half"), Changes(format="plain"))
    prensa.compress(model, tmp_path / "out", recipe=recipe)
    assert "import prensa" not in card(tmp_path / "out").text


def test_the_card_of_the_original_lives_on(model, tmp_path):
    (model / "README.md").write_text(ORIGINAL)
    prensa.compress(model, tmp_path / "out")
    found = card(tmp_path / "out")
    data = found.data.to_dict()
    assert (data["license"], data["language"]) == ("mit", ["es"])
    assert data["base_model"] == "microsoft/deberta-v3-base"  # a hub's name, which the directory's is not
    assert "base_model_relation" not in data
    assert data["tags"] == ["toxicity", "prensa"]
    assert "model-index" not in data  # those results are the original's
    assert found.text.rstrip().endswith("# My model\n\nMade with care.")


def test_pressing_again_writes_one_card_not_two(model, tmp_path):
    (model / "README.md").write_text(ORIGINAL)
    recipe = adjusted(prensa.load_preset("half"), Changes(format="plain"))
    prensa.compress(model, tmp_path / "once", recipe=recipe)
    prensa.compress(tmp_path / "once", tmp_path / "twice")
    text = (tmp_path / "twice" / "README.md").read_text()
    assert text.count("<!-- prensa -->") == text.count("# My model") == 1
    assert "# once, pressed" in text
    assert card(tmp_path / "twice").data.to_dict()["tags"] == ["toxicity", "prensa"]


@pytest.mark.parametrize(
    "content", ["no metadata", "---\n: [\n---\nbroken", b"\xff\xfe", "---\n- a\n---\nlist"]
)
def test_any_card_of_the_original_will_do(model, tmp_path, content):
    (model / "README.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    prensa.compress(model, tmp_path / "out")
    found = card(tmp_path / "out")
    assert found.data.to_dict()["library_name"] == "transformers"
    if isinstance(content, str):
        assert content.splitlines()[-1] in found.text


def test_the_same_bytes_wherever_it_is_written(model, tmp_path):
    for name in ("one", "two"):
        prensa.compress(model, tmp_path / name)
    assert directory_bytes(tmp_path / "one") == directory_bytes(tmp_path / "two")


def test_an_evaluation_takes_its_place(model, tmp_path):
    (model / "README.md").write_text(ORIGINAL)
    prensa.compress(model, tmp_path / "out")
    path = tmp_path / "out" / "README.md"
    path.write_text(path.read_text() + "\nA remark of mine.\n")
    set_evaluation(tmp_path / "out", "It is good.")
    set_evaluation(tmp_path / "out", "It is very good.")
    text = path.read_text()
    assert "It is very good." in text
    assert "It is good." not in text
    assert "Not measured yet" not in text
    assert "A remark of mine." in text


def test_a_smoke_test_gives_way_to_more_and_never_takes_its_place(model, tmp_path):
    prensa.compress(model, tmp_path / "out")
    steps = [
        ("smoke one", True, True),
        ("smoke two", True, True),
        ("real", False, True),
        ("smoke three", True, False),
    ]
    for text, is_smoke_test, is_taken in steps:
        set_evaluation(tmp_path / "out", text, is_smoke_test=is_smoke_test)
        assert (text in (tmp_path / "out" / "README.md").read_text()) == is_taken
    assert "real" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("content", [None, "mine", "<!-- prensa:evaluation -->", b"\xff"])
def test_other_cards_are_left_alone(tmp_path, content):
    if content is not None:
        (tmp_path / "README.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = directory_bytes(tmp_path)
    set_evaluation(tmp_path, "It is good.")
    assert directory_bytes(tmp_path) == before


def test_names_of_the_hub_are_found_in_its_cache(tmp_path):
    snapshot = tmp_path / "hub" / "models--some--my.model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    assert model_name(snapshot) == "some/my.model"
    build_model("bert", tmp_path / "plain")
    assert model_name(tmp_path / "plain") == "plain"


SENTENCES = "---\nlibrary_name: sentence-transformers\npipeline_tag: feature-extraction\n---\n# An encoder\n"


def test_a_model_of_sentence_transformers_stays_one(tmp_path):
    path = around(bert(tmp_path / "model"), pooling())
    prensa.compress(path, tmp_path / "new", preset="int8")
    (path / "README.md").write_text(SENTENCES)
    prensa.compress(path, tmp_path / "out", preset="int8")
    for name, tag in (("new", "sentence-similarity"), ("out", "feature-extraction")):
        found = card(tmp_path / name)
        assert found.data.library_name == "sentence-transformers"
        assert found.data.pipeline_tag == tag
        assert 'model = SentenceTransformer("path/to/this/model")' in found.text
        assert "import prensa" in found.text


def test_a_cross_encoder_stays_one(tmp_path):
    path = bert(tmp_path / "model", "BertForSequenceClassification", num_labels=1)
    prensa.compress(path, tmp_path / "plain", preset="int8")
    assert card(tmp_path / "plain").data.library_name == "transformers"
    (path / "README.md").write_text(SENTENCES.replace("feature-extraction", "text-ranking"))
    prensa.compress(path, tmp_path / "out", preset="int8")
    found = card(tmp_path / "out")
    assert found.data.library_name == "sentence-transformers"
    assert found.data.pipeline_tag == "text-ranking"
    assert 'model = CrossEncoder("path/to/this/model")' in found.text
