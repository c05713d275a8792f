"""The route of Hugging Face Inference: ``POST /`` with ``{"inputs": …, "parameters": …}``, for any task.

Answers have the shapes that the pipelines of ``transformers`` give there, and that the clients of
``huggingface_hub`` and ``@huggingface/inference`` read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from prensa.server.body import (
    Body,
    Where,
    choice,
    described,
    flag,
    indexed,
    number,
    read_body,
    required,
    single,
    strings,
    word,
)
from prensa.server.embeddings import vectors
from prensa.server.front import Front, Told
from prensa.server.predictions import FUNCTIONS, Function, entity, found, predictions
from prensa.server.refused import wrong
from prensa.server.replies import reply
from prensa.server.unsupported import check_supported, of_pipeline


async def infer(request: Request, front: Front) -> Response:
    """Answer ``POST /``, by what the model does.

    ============== ==================================================================================
    classifies     ``[[{"label", "score"}, …], …]``, a list for each input, also for a single one
    scores         the same
    embeds         ``[[…], …]``, a vector for each text, as the model gives it
    finds words    ``[{"entity_group", "score", "word", "start", "end"}, …]``; of a list a list of those
    finds answers  ``{"answer", "score", "start", "end"}``; of a list a list of those
    ============== ==================================================================================
    """
    body = await read_body(request, front.limits.body)
    inputs = required(body, "inputs")
    parameters = _parameters(body)
    check_supported(parameters, of_pipeline(front))
    if front.does == "embeds":
        texts = [inputs] if isinstance(inputs, str) else strings(inputs, "inputs")
        # That client sends these beside the inputs, others among the parameters.
        normalize = flag(parameters, "normalize", default=False)
        return await vectors(
            request, front, texts, parameters, normalize=normalize, truncate=_truncate(parameters)
        )
    is_list = isinstance(inputs, list)
    listed: Sequence[object] = inputs if isinstance(inputs, list) else [inputs]
    where: Where = indexed("inputs") if is_list else single("inputs")
    if front.does in {"classifies", "scores"}:
        return await _classified(request, front, listed, where, parameters)
    told = await front.answer(request, listed, where, truncate=_truncate(parameters))
    if front.does == "finds words":
        return _alone_or_listed(request, told, _words(told, parameters), is_list=is_list)
    return _alone_or_listed(request, told, [found(answer) for answer in told.answers], is_list=is_list)


async def _classified(
    request: Request, front: Front, texts: Sequence[object], where: Where, parameters: Body
) -> Response:
    top = number(parameters, "top_k")
    wanted = word(parameters, "function_to_apply", FUNCTIONS)
    function: Function | None = None
    for name in FUNCTIONS:
        if name == wanted:
            function = name
    told = await front.answer(request, texts, where, truncate=_truncate(parameters))
    listed = [predictions(front, answer, function)[:top] for answer in told.answers]
    return reply(request, told, listed)


def _words(told: Told, parameters: Body) -> list[object]:
    ignored = strings(parameters.get("ignore_labels") or [], "ignore_labels")
    listed: list[object] = []
    for answer in told.answers:
        entities = [entity(span) for span in answer.spans if span.label not in ignored]
        listed.append(entities)
    return listed


def _alone_or_listed(request: Request, told: Told, listed: Sequence[object], *, is_list: bool) -> Response:
    if is_list:
        return reply(request, told, listed)
    return reply(request, told, listed[0])


def _parameters(body: Body) -> Body:
    """Return the parameters, with what stands beside the inputs."""
    parameters = body.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise wrong("parameters", f"expected an object, found {described(parameters)}")
    beside = {name: value for name, value in body.items() if name not in {"inputs", "parameters"}}
    return {**beside, **parameters}


def _truncate(parameters: Body) -> bool | None:
    """Return whether long texts are truncated: by the name that TEI has for it, or that of the pipelines."""
    if parameters.get("truncation") is not None:
        return choice(parameters, "truncation")
    return choice(parameters, "truncate")
