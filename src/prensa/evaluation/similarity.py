"""How near the vectors of queries and passages are, by the function that an embedder's own files name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.sentence_transformers import read_chain, read_settings
from prensa.errors import ModelError

Vectors = NDArray[np.float64]
"""``[texts, size]``"""

COSINE = "cosine"


def similarity_of(path: Path) -> str:
    """Return the name of a model's similarity function; the cosine without a name, as in that library.

    Raises :class:`ModelError` for a function that is not known here, and for a model that leaves a prompt out
    of the mean although queries and passages have prompts of different lengths.
    """
    chain = read_chain(path)
    if chain is None:
        return COSINE
    name = chain.settings.get("similarity_fn_name") or COSINE
    if not isinstance(name, str) or name not in _FUNCTIONS:
        raise ModelError(
            f"{chain.root}: similarity_fn_name {name!r}: expected one of {', '.join(_FUNCTIONS)}"
        )
    prompts = chain.prompts
    # How many tokens to leave out is known for one prompt alone, the one before all texts.
    if prompts["query"] != chain.default_prompt or prompts["document"] != chain.default_prompt:
        for module in chain.modules[1:]:
            if not read_settings(module.folder).get("include_prompt", True):
                raise chain.refused("prompts of queries that do not count (include_prompt)")
    return name


def similarities(queries: Vectors, passages: Vectors, name: str) -> Vectors:
    """Return how near each query is to each passage ``[queries, passages]``; more is nearer."""
    return _FUNCTIONS[name](queries, passages)


def _cosine(queries: Vectors, passages: Vectors) -> Vectors:
    from sklearn.metrics.pairwise import cosine_similarity

    return np.asarray(cosine_similarity(queries, passages))


def _dot(queries: Vectors, passages: Vectors) -> Vectors:
    return np.asarray(queries @ passages.T)


def _euclidean(queries: Vectors, passages: Vectors) -> Vectors:
    from scipy.spatial.distance import cdist

    return -np.asarray(cdist(queries, passages))


def _manhattan(queries: Vectors, passages: Vectors) -> Vectors:
    from scipy.spatial.distance import cdist

    return -np.asarray(cdist(queries, passages, "cityblock"))


_FUNCTIONS: dict[str, Callable[[Vectors, Vectors], Vectors]] = {
    COSINE: _cosine,
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}
