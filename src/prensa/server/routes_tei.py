"""Routes of Text Embeddings Inference, as its router reads and writes them.

``/predict``, ``/rerank``, ``/embed``, ``/tokenize``, ``/info`` and ``/health``. What differs: the scores of
several labels are probabilities of each, not shares of one, where the model was trained so.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from prensa.server.body import choice, described, flag, indexed, read_body, required, strings
from prensa.server.embeddings import vectors
from prensa.server.front import Front
from prensa.server.predictions import Function, predictions, relevance
from prensa.server.refused import unhealthy, wrong
from prensa.server.replies import Json, reply
from prensa.server.tokens import tokens_of
from prensa.server.unsupported import OF_TOKENIZE, check_supported, of_texts
from prensa.serving.cascade import Cascade
from prensa.serving.served import Served
from prensa.version import VERSION

_PAIR = 2
_INPUTS = "expected a string, a pair [string, string] or a batch [[string], [string, string], …]"


async def predict(request: Request, front: Front) -> Response:
    """Answer ``/predict``: labels with scores for a text or a pair, or those of each one of a batch."""
    body = await read_body(request, front.limits.body)
    check_supported(body, of_texts(front))
    texts, is_batch = _sequences(required(body, "inputs"))
    told = await front.answer(request, texts, indexed("inputs"), truncate=choice(body, "truncate"))
    function: Function | None = "none" if flag(body, "raw_scores", default=False) else None
    listed = [predictions(front, answer, function) for answer in told.answers]
    if not is_batch:
        return reply(request, told, listed[0])
    return reply(request, told, listed)


async def rerank(request: Request, front: Front) -> Response:
    """Answer ``/rerank``: the texts that fit a query best first, each by its index."""
    body = await read_body(request, front.limits.body)
    check_supported(body, of_texts(front))
    query = required(body, "query")
    if not isinstance(query, str):
        raise wrong("query", f"expected a string, found {described(query)}")
    texts = strings(required(body, "texts"), "texts")
    told = await front.answer(
        request, [(query, text) for text in texts], indexed("texts"), truncate=choice(body, "truncate")
    )
    raw = flag(body, "raw_scores", default=False)
    ranks: list[tuple[float, dict[str, object]]] = []
    for index, answer in enumerate(told.answers):
        score = relevance(answer, raw=raw)
        rank: dict[str, object] = {"index": index, "score": score}
        if flag(body, "return_text", default=False):
            rank["text"] = texts[index]
        ranks.append((score, rank))
    ranks.sort(key=lambda item: -item[0])
    return reply(request, told, [rank for _, rank in ranks])


async def embed(request: Request, front: Front) -> Response:
    """Answer ``/embed``: a vector for each text, of length 1 unless ``normalize`` is false."""
    body = await read_body(request, front.limits.body)
    check_supported(body, of_texts(front))
    texts = _texts(required(body, "inputs"))
    normalize = flag(body, "normalize", default=True)
    return await vectors(request, front, texts, body, normalize=normalize, truncate=choice(body, "truncate"))


async def tokenize(request: Request, front: Front) -> Response:
    """Answer ``/tokenize``: the tokens of each text, with their places in it."""
    body = await read_body(request, front.limits.body)
    check_supported(body, OF_TOKENIZE)
    texts = _texts(required(body, "inputs"))
    with_marks = flag(body, "add_special_tokens", default=True)
    return Json(await tokens_of(front, texts, indexed("inputs"), with_marks=with_marks))


async def info(_: Request, front: Front) -> Response:
    """Answer ``/info``: what the model is, and the limits of the server."""
    limits = front.limits
    numbered = {str(index): label for index, label in enumerate(front.labels)}
    labels = {"id2label": numbered, "label2id": {label: index for index, label in enumerate(front.labels)}}
    model_type: dict[str, object] = {"classifier": labels}
    if front.does == "scores":
        model_type = {"reranker": labels}
    elif front.does == "embeds":
        model_type = {"embedding": {"pooling": "sentence_transformers"}}
    elif front.does != "classifies":
        model_type = {front.does: labels}
    content = {
        "model_id": front.name,
        "model_sha": None,
        "model_dtype": front.served.record.precision,
        "model_type": model_type,
        "model_architecture": type(front.served).__name__,
        "runtime": front.served.record.runtime,
        "cascade": _cascade(front.served),
        "vocabulary_size": front.served.facts.ids,
        "max_concurrent_requests": limits.max_queue,
        "max_input_length": _longest(front.served),
        "max_batch_tokens": limits.max_batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": limits.max_texts,
        "auto_truncate": limits.truncate,
        "tokenization_workers": 1,
        "version": VERSION,
        "sha": None,
        "docker_label": None,
    }
    return Json(content)


def _cascade(served: Served) -> dict[str, object] | None:
    """Return what two models that answer as one are, None for a single one."""
    if not isinstance(served, Cascade):
        return None
    return {
        "threshold": served.threshold,
        "original_runtime": served.original.record.runtime,
        "original_dtype": served.original.record.precision,
    }


def _longest(served: Served) -> int | None:
    """Return how many tokens are read, by either of two models; None where there is no limit."""
    limits = [served.record.longest]
    if isinstance(served, Cascade):
        limits.append(served.original.record.longest)
    return min((limit for limit in limits if limit is not None), default=None)


async def health(_: Request, front: Front) -> Response:
    """Answer ``/health``: nothing, with 200, while the model answers."""
    if not front.is_healthy:
        raise unhealthy("unhealthy")
    return Response()


def _texts(inputs: object) -> list[str]:
    """Read a text or several."""
    if isinstance(inputs, str):
        return [inputs]
    return strings(inputs, "inputs")


def _sequences(inputs: object) -> tuple[list[object], bool]:
    """Read what ``/predict`` takes, and whether it is a batch: a list of strings is one text or one pair."""
    if isinstance(inputs, str):
        return [inputs], False
    if not isinstance(inputs, list) or not inputs:
        raise wrong("inputs", f"{_INPUTS}, found {described(inputs)}")
    if isinstance(inputs[0], str):
        return [_sequence(inputs, "inputs")], False
    texts = []
    for index, one in enumerate(inputs):
        texts.append(_sequence(one, f"inputs[{index}]"))
    return texts, True


def _sequence(value: object, field: str) -> object:
    texts = strings(value, field)
    if not 1 <= len(texts) <= _PAIR:
        raise wrong(field, f"{_INPUTS}, found {described(value)}")
    return texts[0] if len(texts) == 1 else tuple(texts)
