"""SetFit models: a Sentence Transformers model with a classifier beside it, in a pickle.

The body is compressed as any model of vectors, and the classifier is copied byte for byte: SetFit opens the
result as it opened the original. The pickle is never opened here, so what has to answer with labels is
refused.
"""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.sentence_transformers import root_of
from prensa.errors import ModelError

HEAD = "model_head.pkl"
SETTINGS = "config_setfit.json"


def check_no_pickled_head(directory: Path) -> None:
    """Raise :class:`ModelError` where a model's answers need a classifier that is a pickle."""
    if (root_of(directory) / HEAD).is_file():
        raise ModelError(
            f"{directory}: {HEAD} is SetFit's classifier, a pickle, which Prensa does not run; open it with "
            "SetFitModel.from_pretrained after importing prensa, or copy the directory without that file for "
            "the vectors alone"
        )


def check_head_is_here(directory: Path) -> None:
    """Raise :class:`ModelError` for a SetFit model in the hub's cache: pickles are not fetched from there."""
    is_fetched = "snapshots" in directory.parts
    if is_fetched and (directory / SETTINGS).is_file() and not (directory / HEAD).is_file():
        raise ModelError(
            f"{directory}: a SetFit model, whose classifier ({HEAD}) is a pickle, which Prensa does not "
            "fetch; download the model whole and give its directory"
        )
