"""Fields that clients know from other servers, and that change answers there but not here.

Who sends one and gets an answer believes that it was followed. So each is accepted with the value by which
this server answers anyway, and refused with any other. Fields that change no answer are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from prensa.server.body import Body, described
from prensa.server.front import Front
from prensa.server.refused import wrong
from prensa.server.task import Does

Fields = Mapping[str, object]
"""Names, each with the value by which texts are answered; None where no value fits."""

OF_TOKENIZE: Fields = {"prompt_name": None}
"""Of ``/tokenize`` of Text Embeddings Inference."""

_OF_LABELS: Fields = {
    # TEI's, whose clients send it to this route as well; here it is `function_to_apply`.
    "raw_scores": False,
    "return_all_scores": True,
    # Of another task of the same models.
    "candidate_labels": None,
}

# Of the pipelines, and of the clients of the Inference API.
_OF_PIPELINES: Mapping[Does, Fields] = {
    "classifies": _OF_LABELS,
    "scores": _OF_LABELS,
    "embeds": {"encoding_format": "float", "tokenize_kwargs": None},
    "finds words": {
        # Tokens of one label side by side are one entity, and nothing else.
        "aggregation_strategy": "simple",
        "stride": None,
        "is_split_into_words": False,
        "offset_mapping": None,
    },
    "finds answers": {
        "top_k": 1,
        "topk": 1,
        "doc_stride": 128,
        "max_answer_len": 15,
        "max_seq_len": 384,
        "max_question_len": 64,
        "handle_impossible_answer": False,
        "align_to_words": True,
    },
}


def of_texts(front: Front) -> Fields:
    """Return those of every route that answers texts: they are truncated where their tokenizer does it."""
    return {"truncation_direction": front.served.reader.truncation_side}


def of_pipeline(front: Front) -> Fields:
    """Return those of the pipeline that does what the model does."""
    return {**of_texts(front), "max_length": front.served.record.longest, **_OF_PIPELINES[front.does]}


def check_supported(body: Body, fields: Fields) -> None:
    """Raise :class:`~prensa.server.refused.Refused` (422) for a field with a value that is not followed.

    Null counts as missing, and words may be written in any case.
    """
    for name, usual in fields.items():
        value = body.get(name)
        if value is None or _is_same(value, usual):
            continue
        if usual is None:
            raise wrong(name, "not supported here; leave it out")
        raise wrong(
            name,
            f"expected {json.dumps(usual)}, the only value supported here, found {described(value)}; "
            "send that, or leave it out",
        )


def _is_same(value: object, usual: object) -> bool:
    if isinstance(value, str) and isinstance(usual, str):
        return value.lower() == usual.lower()
    # In Python, 1 equals true.
    return type(value) is type(usual) and value == usual
