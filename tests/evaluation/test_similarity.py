"""Vectors are as near as Sentence Transformers says, by each of its functions."""

import numpy as np
import pytest
import torch
from tests.bert import around, bert, pooling

from prensa.errors import ModelError
from prensa.evaluation.similarity import similarities, similarity_of

NAMES = ("cosine", "dot", "euclidean", "manhattan")


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_those_of_sentence_transformers(name):
    library = pytest.importorskip("sentence_transformers.util")
    rng = np.random.default_rng(0)
    queries, passages = rng.normal(size=(5, 8)), rng.normal(size=(9, 8))
    theirs = library.SimilarityFunction.to_similarity_fn(name)(torch.tensor(queries), torch.tensor(passages))
    np.testing.assert_allclose(similarities(queries, passages, name), theirs.numpy(), rtol=0, atol=1e-12)


def test_a_model_names_its_own(tmp_path):
    assert similarity_of(bert(tmp_path / "plain")) == "cosine"
    path = bert(tmp_path / "chain")
    around(path, pooling())
    assert similarity_of(path) == "cosine"
    for name in (None, *NAMES):
        around(path, pooling(), settings={"similarity_fn_name": name})
        assert similarity_of(path) == (name or "cosine")
    around(path, pooling(), settings={"similarity_fn_name": "maxsim"})
    with pytest.raises(ModelError, match="similarity_fn_name 'maxsim': expected one of cosine, dot"):
        similarity_of(path)


def test_prompts_that_are_left_out_of_the_mean(tmp_path):
    path = bert(tmp_path / "model")
    around(path, pooling(include_prompt=False), settings={"prompts": {"query": "find ", "document": ""}})
    with pytest.raises(ModelError, match="prompts of queries that do not count"):
        similarity_of(path)
    around(path, pooling(), settings={"prompts": {"query": "find ", "document": ""}})
    assert similarity_of(path) == "cosine"
